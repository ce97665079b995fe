"""Finds generated files that lack a security fix of the installed release."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from backstay.blueprints.changelog import Section, between, released
from backstay.blueprints.kinds import KINDS
from backstay.blueprints.records import Record, base_of, records, release_at


def unfixed(root: Path) -> Iterator[str]:
    """A sentence for each file that lacks a fix, in the order of the records.

    A file lacks it if the release that wrote it is older, and what was generated is not what is
    generated now.
    """
    sections, release = released(), release_at(root)
    for record in records(root):
        yield from dict.fromkeys(_unfixed(root, record, between(sections, record.release, release)))


def _unfixed(root: Path, record: Record, sections: Sequence[Section]) -> Iterator[str]:
    fixes = [(path, entry) for section in sections for path, entry in section.fixes(record)]
    if not fixes or record.blueprint not in KINDS:
        return
    rendered = KINDS[record.blueprint](root, record)
    for path, entry in fixes:
        if (root / path).is_file() and base_of(root, path) != rendered.get(path):
            yield f"{path} lacks a security fix: {entry} Run: backstay upgrade"
