"""The project that stands for those of users: the example, else that of the guide "Build on it"."""

import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from sqlalchemy import Connection, MetaData, select

from backstay.db.engine import writer_engine
from backstay.db.options import EngineOptions
from backstay.testing import PASSWORD
from tests.architecture.tree import ROOT
from tests.cli.process import Server, serving
from tests.features.steps import API, AUTH, bearer
from tests.upgrades.environments import ALONE, Environment

EXAMPLE = ROOT / "examples" / "shop"
GUIDE = ROOT / "docs" / "guides" / "build-on-it.md"
FILES = ("pyproject.toml", "src", "tests", ".env", "backstay.db")
"""What a project has: what it is made of, then what it is run with."""
_FILE = re.compile(r"^`([^`\n]+)`\n\n```(?:python|toml)\n(.*?)^```", re.DOTALL | re.M)
NAME = "shop"
PATH, ROW = (
    (f"{API}/customers", {"name": "Ann", "email": "ann@example.org"})
    if EXAMPLE.exists()
    else (f"{API}/notes", {"text": "Buy rope"})
)
"""Where a user makes a row of the project, and what the row is made of."""


Rows = dict[str, list[dict[str, Any]]]
"""By table: its rows."""


@dataclass(frozen=True)
class Project:
    """A folder with a project, and the environment that it runs in."""

    folder: Path
    environment: Environment

    @property
    def migrations(self) -> list[str]:
        """The revisions of the project, the oldest first."""
        files = sorted((self.folder / "src" / NAME / "migrations").glob("0*.py"))
        return [f"{NAME}_{each.stem[:4]}" for each in files]

    def told(self, *arguments: str, code: int = 0) -> str:
        """What a command prints that ends with this code."""
        done = self.environment.call(self.folder, *arguments)
        assert done.code == code, done.output + done.errors
        return done.output

    def serving(self) -> AbstractContextManager[Server]:
        """Run the server of the project while this is entered."""
        return serving(self.folder, command=self.environment.backstay, **ALONE)

    def copied(self, folder: Path, environment: Environment) -> "Project":
        """The project with its database, which no process may have open, in another folder."""
        for name in FILES:
            _copy(self.folder / name, folder / name)
        return Project(folder, environment)


def project(folder: Path, environment: Environment) -> Project:
    """The project with its migrations, in a folder that holds nothing else."""
    if EXAMPLE.exists():
        for name in FILES[:3]:
            _copy(EXAMPLE / name, folder / name)
        _copy(EXAMPLE / ".env.example", folder / ".env")
        return Project(folder, environment)
    for name, content in _FILE.findall(GUIDE.read_text("utf-8")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    made = Project(folder, environment)
    made.told("db", "revision", "notes")
    return made


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    elif source.exists():
        shutil.copy(source, target)


def signed_in(server: Server) -> dict[str, str]:
    """The headers of a new user."""
    body = {"email": "ann@example.org", "password": PASSWORD}
    created = server.client.post(f"{API}/users", json=body)
    assert created.status_code == 201, created.text
    answer = server.client.post(f"{AUTH}/login", json=body | {"transport": "body"})
    assert answer.status_code == 200, answer.text
    return bearer(answer.json()["access_token"])


def rows_made(server: Server, headers: dict[str, str]) -> int:
    """Make a row of the project; how many the user has then."""
    made = server.client.post(PATH, json=ROW, headers=headers)
    assert made.status_code == 201, made.text
    listed = server.client.get(PATH, headers=headers)
    return int(listed.json()["total"])


def stored(folder: Path) -> Rows:
    """All rows in the project's database, but those that say which migrations it has."""

    async def read() -> Rows:
        engine = writer_engine(EngineOptions(f"sqlite+aiosqlite:///{folder}/backstay.db"))
        async with engine.connect() as connection:
            found = dict(await connection.run_sync(lambda each: list(_rows(each))))
        await engine.dispose()
        return found

    return anyio.run(read)


def _rows(connection: Connection) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    metadata = MetaData()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* expression-based index")
        metadata.reflect(connection)
    for table in metadata.sorted_tables:
        if table.name not in {"alembic_version", "schema_revisions"}:
            yield table.name, [dict(row) for row in connection.execute(select(table)).mappings()]
