"""The project that stands for those of users: the example, else that of the guide "Build on it"."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backstay.testing import PASSWORD
from tests.architecture.tree import ROOT
from tests.cli.process import Server, serving
from tests.features.steps import API, AUTH, bearer
from tests.upgrades.environments import ALONE, Environment

EXAMPLE = ROOT / "examples" / "shop"
GUIDE = ROOT / "docs" / "guides" / "build-on-it.md"
_FILE = re.compile(r"^`([^`\n]+)`\n\n```(?:python|toml)\n(.*?)^```", re.DOTALL | re.M)
NAME = "shop"
PATH, ROW = (
    (f"{API}/customers", {"name": "Ann", "email": "ann@example.org"})
    if EXAMPLE.exists()
    else (f"{API}/notes", {"text": "Buy rope"})
)
"""Where a user makes a row of the project, and what the row is made of."""


@dataclass(frozen=True)
class Project:
    """A folder with a project, and the environment that it runs in."""

    folder: Path
    environment: Environment
    variables: dict[str, str]

    @property
    def migrations(self) -> list[str]:
        """The revisions of the project, the oldest first."""
        files = sorted((self.folder / "src" / NAME / "migrations").glob("0*.py"))
        return [f"{NAME}_{each.stem[:4]}" for each in files]

    def told(self, *arguments: str, code: int = 0) -> str:
        """What a command prints that ends with this code."""
        done = self.environment.call(self.folder, *arguments, **self.variables)
        assert done.code == code, done.output + done.errors
        return done.output

    def serving(self) -> Any:
        """Runs the server of the project while it is entered."""
        given = ALONE | self.variables
        return serving(self.folder, command=self.environment.backstay, **given)


def project(folder: Path, environment: Environment, **variables: str) -> Project:
    """The project with its migrations, in a folder that holds nothing else."""
    if EXAMPLE.exists():
        for name in ("src", "tests"):
            shutil.copytree(EXAMPLE / name, folder / name)
        shutil.copy(EXAMPLE / "pyproject.toml", folder)
        shutil.copy(EXAMPLE / ".env.example", folder / ".env")
        return Project(folder, environment, variables)
    for name, content in _FILE.findall(GUIDE.read_text("utf-8")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    made = Project(folder, environment, variables)
    made.told("db", "revision", "notes")
    return made


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
