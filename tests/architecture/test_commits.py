"""Shows that only the transaction step ends a transaction, in the source and at run time."""

import ast
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import text

from backstay.composition import Backstay, compose
from backstay.core.bus import handles
from backstay.core.feature import Feature
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.db.base import Base
from backstay.db.options import create_file
from backstay.db.session import CommitForbidden, Transaction
from backstay.features import STANDARD
from backstay.testing import settings_with
from tests.architecture.tree import PACKAGE, copy_of_project, plant, sources

STEP, COMMITTERS = Path("db/transaction.py"), {"_finish", "_finish_group"}
"""The file of the transaction step, and its last functions: for one command, and for several."""
MIGRATING = Path("db/migrations/transaction.py")
"""Migrations begin and commit on a connection of their own, since some run in no transaction."""
OWN_CONNECTIONS = {Path("db/database.py"), MIGRATING, Path("cli/backups.py")}
"""The one statement of ``Database.write``, migrations, and what ends the sessions of a restored
database before it takes its place, run outside any command.
"""


def commit_faults(package: Path) -> Iterator[str]:
    """Every call that commits, or opens a block that commits at its end."""
    for path, tree in sources(package):
        inside = path.relative_to(package)
        last = [
            node for step in tree.body if _is_committer(inside, step) for node in ast.walk(step)
        ]
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute):
                continue
            if node.attr in {"commit", "_commit"}:
                if node not in last and inside != MIGRATING:
                    yield f"{inside}:{node.lineno}: only the transaction step commits"
            elif node.attr == "begin" and inside not in OWN_CONNECTIONS:
                yield f"{inside}:{node.lineno}: `begin` commits at the end of its block"


def _is_committer(file: Path, node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and file == STEP and node.name in COMMITTERS


def test_only_the_transaction_step_commits() -> None:
    assert list(commit_faults(PACKAGE)) == []


@pytest.mark.parametrize(
    "code",
    [
        "async def late(session):\n    await session.commit()",
        "def hidden(session):\n    return session.sync_session.commit",
        "async def block(session):\n    async with session.begin():\n        pass",
        "async def private(session):\n    await session._commit()",
    ],
)
def test_a_commit_elsewhere_is_noticed(tmp_path: Path, code: str) -> None:
    package = copy_of_project(tmp_path)
    plant(package, "features/items/commands.py", code)
    (fault,) = commit_faults(package)
    assert fault.startswith("features/items/commands.py:")


Work = Callable[[Transaction], Awaitable[None]]


class WriteNote(Command[None]):
    permission = SYSTEM_ONLY

    work: Any


@handles(WriteNote)
async def write_note(command: WriteNote, session: Transaction) -> None:
    await session.execute(text("INSERT INTO notes VALUES (1)"))
    await command.work(session)


async def by_commit(session: Transaction) -> None:
    await session.commit()


async def by_transaction(session: Transaction) -> None:
    transaction = session.get_transaction()
    assert transaction is not None
    await transaction.commit()


async def in_the_thread_of_the_driver(session: Transaction) -> None:
    await session.run_sync(lambda sync: sync.commit())


async def by_block(session: Transaction) -> None:
    await session.rollback()
    async with session.begin():
        await session.execute(text("INSERT INTO notes VALUES (2)"))


async def out_of_a_savepoint(session: Transaction) -> None:
    async with session.begin_nested():
        await session.commit()


@pytest.fixture
async def notes(tmp_path: Path) -> AsyncIterator[Backstay]:
    """An application with a command that writes notes."""
    module = ModuleType(__name__)
    vars(module).update(WriteNote=WriteNote, write_note=write_note)
    settings = settings_with(f"sqlite:///{tmp_path}/notes.db", tmp_path)
    backstay = compose(settings, [*STANDARD, Feature("notes", modules=(module,))])
    create_file(backstay.database.options)
    async with backstay.database.writer.begin() as connection:
        await connection.execute(text("CREATE TABLE notes (number INTEGER)"))
        await connection.run_sync(Base.metadata.tables["activity"].create)
    yield backstay
    await backstay.close()


async def count(backstay: Backstay) -> int:
    counted: int = await backstay.database.reader.scalar(text("SELECT count(*) FROM notes"))
    return counted


@pytest.mark.anyio
@pytest.mark.parametrize(
    "work",
    [by_commit, by_transaction, in_the_thread_of_the_driver, by_block, out_of_a_savepoint],
)
async def test_a_handler_that_commits_fails_and_keeps_nothing(notes: Backstay, work: Work) -> None:
    with pytest.raises(CommitForbidden):
        await notes.system(WriteNote(work=work))
    assert await count(notes) == 0


async def in_a_savepoint(session: Transaction) -> None:
    async with session.begin_nested():
        await session.execute(text("INSERT INTO notes VALUES (2)"))


@pytest.mark.anyio
async def test_savepoints_are_allowed(notes: Backstay) -> None:
    await notes.system(WriteNote(work=in_a_savepoint))
    assert await count(notes) == 2
