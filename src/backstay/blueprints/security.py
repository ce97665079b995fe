"""Finds generated files that lack a security fix of the installed release."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from backstay.blueprints.changelog import Section, between, released
from backstay.blueprints.files import decoded
from backstay.blueprints.kinds import KINDS
from backstay.blueprints.records import (
    Record,
    base_of,
    base_path,
    conflict_of,
    conflict_path,
    records,
    release_at,
)


def unfixed(root: Path) -> Iterator[str]:
    """A sentence for each file that lacks a fix, in the order of the records.

    A file lacks it if the release that wrote it is older, and what was generated is not what is
    generated now; and if its person left lines out of a conflict that the fix was part of.
    """
    sections, release = released(), release_at(root)
    for record in records(root):
        told = (
            *_unfixed(root, record, between(sections, record.release, release)),
            *_left_out(root, record, sections),
        )
        yield from dict.fromkeys(told)


def _unfixed(root: Path, record: Record, sections: Sequence[Section]) -> Iterator[str]:
    fixes = [(path, entry) for section in sections for path, entry in section.fixes(record)]
    if not fixes or record.blueprint not in KINDS:
        return
    rendered = KINDS[record.blueprint](root, record)
    for path, entry in fixes:
        if (root / path).is_file() and base_of(root, path) != rendered.get(path):
            yield f"{path} lacks a security fix: {entry} Run: backstay upgrade"


def _left_out(root: Path, record: Record, sections: Mapping[str, Section]) -> Iterator[str]:
    for path in record.files:
        conflict, base = conflict_of(root, path), base_of(root, path)
        if conflict is None or base is None or not (root / path).is_file():
            continue
        yours = decoded(path, (root / path).read_bytes())[0]
        if conflict.is_settled(yours, base):
            continue
        for section in between(sections, conflict.release, record.release):
            for fixed, entry in section.fixes(record):
                if fixed == path:
                    yield (
                        f"{path} may lack a security fix, since lines were left out of a conflict: "
                        f"{entry} Compare it with {base_path(path)}. If it is safe as it is, "
                        f"delete {conflict_path(path)}."
                    )
