"""Writes a project that makes mistakes, of which `mistakes.txt` has one for each error code."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import backstay

LIST = Path(__file__).with_suffix(".txt")
USUAL = "wiring"
"""The run of most mistakes: an application is made of all of them."""
HEAD = """\
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, SecretStr
from sqlalchemy import Index, bindparam
from sqlalchemy.orm import Mapped, mapped_column

from backstay import ({names})
from shop.views import Seen, Shown

"""
VIEWS = """\
from uuid import UUID

from backstay import View


class Shown(View):
    id: UUID


class Seen(View):
    id: UUID
"""
PROJECT = """\
[tool.backstay]
app = "shop.main:application"
"""
MAIN = """\
from importlib import import_module
from importlib.util import find_spec

from backstay import STANDARD, Application
from backstay.core.importing import import_of_project


GIVEN = {{"name", "standard", "roles", "replace", "provide", "settings", "templates", "on_start"}}


def made(names):
    features, given = [], {{"name": "shop", "standard": STANDARD}}
    for name in names:
        home = import_of_project(f"shop.{{name}}")
        features += getattr(home, "features", None) or [home.feature]
        if find_spec(f"shop.{{name}}.application"):
            own = vars(import_module(f"shop.{{name}}.application"))
            for key in GIVEN & own.keys():
                is_more = key in given and key not in {{"name", "standard"}}
                given[key] = more(given[key], own[key]) if is_more else own[key]
    features = (*given.pop("standard"), *features)
    return Application(features=features, migrations=None, **given)


def more(former, value):
    return {{**former, **value}} if isinstance(former, dict) else (*former, *value)


application = made({names!r})
"""


class Case(NamedTuple):
    """A mistake: its error code, the run that it is made in, and the files of its feature."""

    code: str
    run: str
    name: str
    files: dict[str, str]


def cases() -> Iterator[Case]:
    """Every mistake of the list."""
    _, *sections = re.split(r"^## ", LIST.read_text("utf-8"), flags=re.MULTILINE)
    for number, section in enumerate(sections):
        title, _, text = section.partition("\n")
        code, _, run = title.partition(" in ")
        first, *others = re.split(r"^-- (.+)\n", text, flags=re.MULTILINE)
        name = f"{code.replace('.', '_')}_{number}"
        manifest = f'feature = Feature("{name}", __name__)\n'
        given = dict(zip(others[::2], others[1::2], strict=True))
        yield Case(
            code, run or USUAL, name, {"messages.py": first, "__init__.py": manifest} | given
        )


def _head(text: str) -> str:
    """The imports of a file, with the public names that it uses."""
    words = set(re.findall(r"\w+", text)) | {"View"}
    return HEAD.format(names=", ".join(sorted(words & set(backstay.__all__))))


def write(folder: Path, made: list[Case]) -> None:
    """Write the project that makes these mistakes; `shop.main.made` makes an application of some.

    Its own application, `shop.main.application`, makes the usual ones.
    """
    home = folder / "src" / "shop"
    for case in made:
        for name, text in case.files.items():
            file = home / case.name / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(_head(text) + text)
    (home / "__init__.py").touch()
    (home / "views.py").write_text(VIEWS)
    (home / "main.py").write_text(
        MAIN.format(names=[case.name for case in made if case.run == USUAL])
    )
    (folder / "pyproject.toml").write_text(PROJECT)
