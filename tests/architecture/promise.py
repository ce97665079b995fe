"""Holds each version to what the one before it promised: what breaks is named in CHANGELOG.md."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

from backstay.blueprints import changelog
from backstay.blueprints.changelog import Section
from tests.architecture.api import COMING, Api, current, read, releases
from tests.architecture.api_changes import Break, breaks


def described() -> dict[str, Api]:
    """Every release and what is to become the next, the oldest first."""
    return {version: read(version) for version in releases()} | {COMING: current()}


def broken(versions: Mapping[str, Api], sections: Mapping[str, Section]) -> list[str]:
    """A sentence for each change that breaks projects and that no entry of its version names."""
    return [
        sentence for pair in pairwise(versions) for sentence in _between(*pair, versions, sections)
    ]


def _between(
    old: str, new: str, versions: Mapping[str, Api], sections: Mapping[str, Section]
) -> Iterator[str]:
    version = changelog.COMING if new == COMING else new
    section = sections.get(version, Section(version, None))
    for found in breaks(versions[old], versions[new]):
        if not section.mentions(found.name):
            yield _sentence(found, old, version)


def _sentence(found: Break, old: str, version: str) -> str:
    return (
        f"{found.name} {found.told}: projects that were written for {old} break. Keep what they "
        f"use, or say in CHANGELOG.md, under [{version}], in an entry that names `{found.name}`, "
        "what they have to change."
    )
