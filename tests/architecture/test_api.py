"""Shows that no public name changes unnoticed, and that each way to break a project is noticed."""

import re
from pathlib import Path

import pytest

import backstay
from backstay.blueprints import changelog
from tests.architecture import api, promise
from tests.architecture.api import Api
from tests.architecture.api_changes import breaks

BEFORE = """
from enum import StrEnum
from typing import Annotated, Any, Protocol, TypedDict, Unpack, overload
from pydantic import BaseModel

class Options(TypedDict, total=False):
    limit: int
    name: str

class _Kept:
    def keep(self, path: str) -> None: ...

class Port(Protocol):
    async def get(self, key: str, /) -> bytes | None: ...

class View(BaseModel):
    id: int
    text: str = ""

class Note(View, _Kept):
    owner: int | None = None

class State(StrEnum):
    OPEN = "open"
    DONE = "done"

class Shelf:
    size: int = 1

    def __init__(self, name: str, *, rows: int = 3) -> None: ...

    @property
    def rows(self) -> int: ...

    @classmethod
    def of(cls, names: list[str]) -> "Shelf": ...

    def put(self, note: Note, place: int | None = None, **options: Unpack[Options]) -> str: ...

@overload
def read(source: str) -> str: ...
@overload
def read(source: bytes) -> bytes: ...
def read(source: Any) -> Any: ...

async def find(key: str, kind: Annotated[str, "short"] = "note", *tags: str) -> Note | None: ...

LIMIT: int = 4
"""
NAMES = "Port View Note State Shelf read find LIMIT"

BREAKING = {
    "a function is gone": ("async def find(", "async def _find(", "find is gone"),
    "a class is gone": ("class Shelf:", "class _Shelf:", "Shelf is gone"),
    "a value becomes a function": (
        "LIMIT: int = 4", "def LIMIT() -> int: ...", "LIMIT was a value and is a function"),
    "a method is gone": ("def put(self", "def put_it(self", "Shelf.put is gone"),
    "an inherited method is gone": ("def keep(", "def hold(", "Note.keep is gone"),
    "an attribute is gone": ("    size: int = 1\n", "", "Shelf.size is gone"),
    "a property is gone": ("def rows(self)", "def lines(self)", "Shelf.rows is gone"),
    "a method becomes an attribute": (
        "def keep(self, path: str) -> None: ...", "keep: str = ''",
        "Note.keep was `def` and is `an attribute`"),
    "a function is awaited": (
        "def read(source: str)", "async def read(source: str)",
        "read was `def` and is `async def`"),
    "a class method needs an object": (
        "    @classmethod\n    def of(cls,", "    def of(self,",
        "Shelf.of was `classmethod def` and is `def`"),
    "a base is gone": ("class Note(View, _Kept)", "class Note(BaseModel, _Kept)",
                       "Note no longer inherits View"),
    "a parameter is gone": (", *tags: str)", ")", "find no longer takes the parameter `*tags`"),
    "a parameter is renamed": ("names: list[str])", "labels: list[str])",
                               "Shelf.of no longer takes the parameter `names`"),
    "an option is gone": ("    limit: int\n", "",
                          "Shelf.put no longer takes the parameter `limit`"),
    "parameters change places": (
        "note: Note, place: int | None = None", "place: int | None, note: Note",
        "Shelf.put takes the parameter `note` in another place"),
    "a parameter comes before": (
        "(key: str, kind", "(depth: int = 1, key: str = '', kind",
        "find takes the parameter `key` in another place"),
    "a parameter is given by name only": (
        "(self, note: Note, place", "(self, *, note: Note, place",
        "Shelf.put takes the parameter `note` only by name"),
    "a parameter is given by position only": (
        "(key: str, kind", "(key: str, /, kind", "find takes the parameter `key` only by position"),
    "a new parameter has no default": (
        "*, rows: int = 3", "*, depth: int, rows: int = 3",
        "Shelf has a new parameter `depth` without a default"),
    "a default is gone": ("*, rows: int = 3", "*, rows: int",
                          "Shelf requires the parameter `rows`"),
    "a parameter takes less": (
        "place: int | None = None", "place: int = 0",
        "Shelf.put takes `int` and no longer `int | None` as `place`"),
    "a result can be more": ("-> str: ...\n\n@overload", "-> str | None: ...\n\n@overload",
                             "Shelf.put is `str | None` and no longer `str`"),
    "an overload is gone": (
        "@overload\ndef read(source: bytes) -> bytes: ...\n", "",
        "read is `str` and no longer `bytes`"),
    "a field has no default any more": ('text: str = ""', "text: str",
                                        "View.text has no default any more"),
    "a field is new and required": (
        "    id: int\n", "    id: int\n    size: int\n", "View.size is new and has no default"),
    "a field accepts less": (
        "owner: int | None = None", "owner: int = 0",
        "Note.owner accepts `int` and no longer `int | None`"),
    "a member has another value": ('DONE = "done"', 'DONE = "finished"',
                                   "State.DONE is 'finished' and no longer 'done'"),
    "a member is gone": ('    DONE = "done"\n', "", "State.DONE is gone"),
    "a port wants a further method": (
        "class View(BaseModel):",
        "    async def set(self, key: str) -> None: ...\n\nclass View(BaseModel):",
        "Port.set is new: adapters of projects do not have it"),
    "a port passes a further parameter": (
        "get(self, key: str, /)", "get(self, key: str, /, depth: int = 1)",
        "Port.get has a new parameter `depth`, which adapters of projects do not take"),
    "a port passes more": (
        "get(self, key: str, /)", "get(self, key: str | None, /)",
        "Port.get takes `str | None` and no longer `str` as `key`"),
    "a port wants less": ("-> bytes | None: ...", "-> bytes: ...",
                          "Port.get is `bytes` and no longer `bytes | None`"),
}  # fmt: skip

HARMLESS = {
    "an optional parameter is new": ("*tags: str)", "*tags: str, depth: int = 1)"),
    "an option is new": ("    limit: int\n", "    limit: int\n    depth: int\n"),
    "a parameter takes more": ("(key: str,", "(key: str | bytes,"),
    "a parameter takes everything": ("names: list[str]", "names: Any"),
    "a result is less": ("-> Note | None: ...", "-> Note: ..."),
    "a default changes": ("rows: int = 3", "rows: int = 4"),
    "a parameter may be given by position, too": ("*, rows: int = 3", "rows: int = 3"),
    "what is given by position has another name": ("key: str, /", "name: str, /"),
    "a method is new": ("    @classmethod", "    def take(self) -> None: ...\n\n    @classmethod"),
    "a field with a default is new": ("    id: int\n", "    id: int\n    size: int = 0\n"),
    "a member is new": ('DONE = "done"', 'DONE = "done"\n    GONE = "gone"'),
    "a field moves to a public base": (
        "    id: int\n", "    id: int\n    owner: int | None = None\n"),
    "a private base is renamed": ("class _Kept:", "class _Kept: ...\n\nclass _Kept:"),
    "what Annotated adds changes": ('Annotated[str, "short"]', 'Annotated[str, "long"]'),
}  # fmt: skip


def described(folder: Path, source: str) -> Api:
    """The description of a package with this source and these public names."""
    package = folder / "backstay"
    package.mkdir(parents=True)
    names = [name for name in NAMES.split() if re.search(rf"(class |def |^){name}\b", source, re.M)]
    told = "\n".join(f"from backstay.code import {name} as {name}" for name in names)
    (package / "__init__.py").write_text(told)
    (package / "code.py").write_text(source)
    return api.current(folder)


def both(folder: Path, old: str, new: str) -> tuple[Api, Api]:
    assert BEFORE.count(old) >= 1
    return described(folder / "1", BEFORE), described(folder / "2", BEFORE.replace(old, new, 1))


@pytest.mark.parametrize("case", BREAKING)
def test_what_breaks_projects_is_told(case: str, tmp_path: Path) -> None:
    old, new, told = BREAKING[case]
    found = [f"{each.name} {each.told}" for each in breaks(*both(tmp_path, old, new))]
    assert told in found


@pytest.mark.parametrize("case", HARMLESS)
def test_what_breaks_nobody_is_not_told(case: str, tmp_path: Path) -> None:
    assert breaks(*both(tmp_path, *HARMLESS[case])) == []


def test_a_break_fails_until_the_changelog_names_it(tmp_path: Path) -> None:
    before, after = both(tmp_path, "def put(self", "def put_it(self")
    versions = {"0.1.0": before, api.COMING: after}

    def told(entry: str) -> list[str]:
        text = f"# Changelog\n\n## [Unreleased]\n\n### Removed\n- {entry}\n"
        return promise.broken(versions, changelog.sections(text))

    sentence = (
        "Shelf.put is gone: projects that were written for 0.1.0 break. Keep what they use, or say "
        "in CHANGELOG.md, under [Unreleased], in an entry that names `Shelf.put`, what they have "
        "to change."
    )
    for silent in ("Shelves are better.", "Shelf.put is gone.", "`Shelf.puts` and `put` are gone."):
        assert told(silent) == [sentence]
    assert told("`Shelf.put(note)` is now `Shelf.put_it(note)`.") == []
    assert promise.broken(versions, {}) == [sentence]


def test_a_release_is_held_to_the_one_before_it(tmp_path: Path) -> None:
    before, after = both(tmp_path, "def put(self", "def put_it(self")
    text = "## [Unreleased]\n### Removed\n- `Shelf.put`\n## [0.2.0] - 2027-01-01\n"
    versions = {"0.1.0": before, "0.2.0": after, api.COMING: after}
    [told] = promise.broken(versions, changelog.sections(text))
    assert "written for 0.1.0" in told
    assert "under [0.2.0]" in told


def test_no_public_name_breaks_projects_without_a_word() -> None:
    found = promise.broken(promise.described(), changelog.sections(changelog.FILE.read_text()))
    assert not found, "\n".join(found)


def test_the_description_is_as_make_face_writes_it() -> None:
    committed = (api.FOLDER / f"{api.COMING}.json").read_text("utf-8")
    assert committed == api.written(api.current()), (
        "The public names have changed: run `make face`, and look at what it changes in docs/api."
    )


def test_every_public_name_is_described() -> None:
    assert [*api.current()] == sorted(name for name in backstay.__all__ if name != "__version__")


def test_every_release_is_described_once() -> None:
    released = [*changelog.sections(changelog.FILE.read_text("utf-8"))][1:]
    assert released[::-1] == api.releases(), (
        "A release has a dated section; `make face` describes it."
    )
    assert backstay.__version__ == released[0]
