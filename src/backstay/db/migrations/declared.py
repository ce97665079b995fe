"""What a revision may declare beside Alembic's names.

``oldest_code = "shop_0003"``: older code than that whose last revision is `shop_0003` does not work
with the schema. ``in_transaction = False``: on PostgreSQL it runs by itself, outside of the
transaction.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alembic.script import Script, ScriptDirectory

OLDEST_CODE, IN_TRANSACTION = "oldest_code", "in_transaction"


def oldest_code(script: "Script") -> str | None:
    """The last revision of the oldest code that works with the schema; None is code of any age."""
    found: str | None = getattr(script.module, OLDEST_CODE, None)
    return found


def runs_outside(script: "Script") -> bool:
    """Whether it runs outside of the transaction, on PostgreSQL."""
    return getattr(script.module, IN_TRANSACTION, True) is False


def wrong_declarations(directory: "ScriptDirectory") -> Iterator[str]:
    """Declarations that mean nothing, in sentences."""
    for script in directory.walk_revisions():
        oldest: Any = getattr(script.module, OLDEST_CODE, None)
        label = script.revision.rpartition("_")[0]
        if oldest is not None and oldest not in _line_of(directory, script):
            yield (
                f"{script.path}: {OLDEST_CODE} is {oldest!r}, but names the last revision of the "
                f"oldest code that works with this schema: one of {label}, up to "
                f"{script.revision} itself."
            )
        if not isinstance(getattr(script.module, IN_TRANSACTION, True), bool):
            yield f"{script.path}: {IN_TRANSACTION} is True or False."


def _line_of(directory: "ScriptDirectory", script: "Script") -> set[str]:
    """A revision and those before it in its own history."""
    line, below = {script.revision}, script.down_revision
    while isinstance(below, str):
        line.add(below)
        below = directory.get_revision(below).down_revision
    return line
