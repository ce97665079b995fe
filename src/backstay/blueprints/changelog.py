"""Reads CHANGELOG.md, which has the form of Keep a Changelog 1.1.0 and is part of the wheel.

An entry under *Security* that mends what blueprints wrote names it in code, as blueprint and
pattern of paths: ``entity:*/queries.py``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatch
from pathlib import Path

from backstay.blueprints.records import Record
from backstay.blueprints.releases import number_of

_PACKAGE = Path(__file__).parents[1]
FILE = next(
    path
    for path in (_PACKAGE / "CHANGELOG.md", _PACKAGE.parents[1] / "CHANGELOG.md")
    if path.exists() or path.parent != _PACKAGE
)
"""In the wheel it lies in the package; in the repository, in its root."""
SECURITY = "Security"
COMING = "Unreleased"
HEADINGS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
_VERSION = re.compile(r"## \[(?:(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)|Unreleased\])")
_CODE = re.compile(r"`([^`]+)`")
_GENERATED = re.compile(r"([a-z]+):(\S*[/.*]\S*)")


class Unreadable(ValueError):
    """A line that does not have the form, and the form."""


@dataclass
class Section:
    """What one version changes: its entries by heading."""

    version: str
    released: date | None
    entries: dict[str, list[str]] = field(default_factory=dict)

    def mentions(self, name: str) -> bool:
        """Whether an entry names this in code, such as `Routes.get` or `Routes.get(path)`."""
        named = re.compile(rf"(?<![\w.]){re.escape(name)}(?![\w.])")
        text = " ".join(entry for entries in self.entries.values() for entry in entries)
        return any(named.search(code) for code in _CODE.findall(text))

    def fixes(self, record: Record) -> Iterator[tuple[str, str]]:
        """The generated files that an entry under *Security* mends, each with the entry."""
        for entry in self.entries.get(SECURITY, ()):
            for blueprint, pattern in generated(entry):
                if blueprint == record.blueprint:
                    yield from ((path, entry) for path in record.files if fnmatch(path, pattern))

    def markdown(self) -> str:
        """The text of the section, as it stands in the file but for its line breaks."""
        head = f"## {self.version}" + (f" - {self.released}" if self.released else "")
        parts = [
            f"### {heading}\n" + "\n".join(f"- {entry}" for entry in entries)
            for heading, entries in self.entries.items()
        ]
        return "\n\n".join((head, *parts)) + "\n"


def generated(entry: str) -> list[tuple[str, str]]:
    """The generated files that an entry names: each as blueprint and pattern of paths."""
    found = (_GENERATED.fullmatch(code) for code in _CODE.findall(entry))
    return [(each[1], each[2]) for each in found if each]


def between(found: Mapping[str, Section], old: str, new: str) -> Sequence[Section]:
    """The sections of the releases after one, up to another, the newest first."""
    return [
        section
        for version, section in found.items()
        if version != COMING and number_of(old) < number_of(version) <= number_of(new)
    ]


def released() -> dict[str, Section]:
    """What the installed release says of itself and of those before."""
    return sections(FILE.read_text("utf-8"))


def sections(text: str) -> dict[str, Section]:
    """The sections by version, the newest first.

    Raises:
        Unreadable: a line has another form.
    """
    found: dict[str, Section] = {}
    entries: list[str] | None = None
    for number, line in _lines(text):
        if line.startswith("## "):
            section = _section(number, line)
            if section.version in found:
                raise Unreadable(f"line {number}: {section.version} has a section already")
            found[section.version], entries = section, None
        elif line.startswith("### "):
            entries = _entries(number, line, found)
        elif entries is None:
            raise Unreadable(f"line {number}: write ### and one of {', '.join(HEADINGS)} before it")
        elif line.startswith("- "):
            entries.append(line[2:])
        elif entries and line.startswith("  "):
            entries[-1] += f" {line.strip()}"
        else:
            raise Unreadable(
                f"line {number}: an entry starts with `- ` and goes on with two spaces"
            )
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines from the first section on that are not empty, with their numbers."""
    is_intro = True
    for number, line in enumerate(text.splitlines(), 1):
        is_intro = is_intro and not line.startswith("## ")
        if line.strip() and not is_intro:
            yield number, line


def _section(number: int, line: str) -> Section:
    form = _VERSION.fullmatch(line)
    if form is None:
        raise Unreadable(f"line {number}: write `## [1.2.3] - 2026-12-31` or `## [Unreleased]`")
    try:
        released = date.fromisoformat(form[2]) if form[2] else None
    except ValueError as error:
        raise Unreadable(f"line {number}: {form[2]} is no date") from error
    return Section(form[1] or COMING, released)


def _entries(number: int, line: str, found: dict[str, Section]) -> list[str]:
    heading = line.removeprefix("### ")
    section = list(found.values())[-1]
    if heading not in HEADINGS or heading in section.entries:
        raise Unreadable(f"line {number}: write each of {', '.join(HEADINGS)} once per version")
    return section.entries.setdefault(heading, [])
