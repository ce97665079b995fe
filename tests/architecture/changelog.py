"""Reads CHANGELOG.md, which has the form of Keep a Changelog 1.1.0."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from tests.architecture.tree import ROOT

FILE = ROOT / "CHANGELOG.md"
COMING = "Unreleased"
HEADINGS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
_VERSION = re.compile(r"## \[(?:(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)|Unreleased\])")
_CODE = re.compile(r"`([^`]+)`")


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
