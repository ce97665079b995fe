"""Applies revisions: all in one transaction, apart from those that cannot run in one."""

from collections.abc import Sequence
from functools import partial

from backstay.db.migrations import steps
from backstay.db.migrations.patience import Tell, by_itself, in_transaction
from backstay.db.migrations.runner import Histories, MigrationError
from backstay.db.options import EngineOptions


async def apply(
    options: EngineOptions,
    histories: Histories,
    revision: str,
    stored: Sequence[str],
    tell: Tell,
) -> list[str]:
    """Migrate a database that has the ``stored`` revisions up; return what was applied.

    SQLite applies all in one transaction: it builds no index CONCURRENTLY, nor does it need to.

    Raises:
        MigrationError: the text says why, and what was applied before.
    """
    if options.is_sqlite or not steps.has_outside(histories):
        work = partial(steps.upgrade, histories=histories, revision=revision)
        return await in_transaction(options, work, tell)
    applied: list[str] = []
    for segment in steps.segments(histories, revision, stored):
        run = by_itself if segment.outside else in_transaction
        work = partial(steps.upgrade_through, histories=histories, revisions=segment.revisions)
        try:
            applied += await run(options, work, tell)
        except MigrationError as error:
            if not applied:
                raise
            raise MigrationError(f"{error} Applied before that: {', '.join(applied)}.") from error
    return applied
