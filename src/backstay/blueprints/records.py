"""What was generated in a project, from which options, and by which release."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from backstay import __version__
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.files import FOLDER
from backstay.blueprints.merging import merge

_RECORDS = f"{FOLDER}/records"
_BASES = f"{FOLDER}/bases"
_CONFLICTS = f"{FOLDER}/conflicts"
_SUFFIX = ".base"
"""No tool may take what is kept for code, tests or rules of the project."""
PLATFORM = "platform"
"""The blueprint of all of Backstay, in a project that owns it."""
OWNED = "src/backstay"
"""Where it is there."""


@dataclass(frozen=True)
class Record:
    """One use of a blueprint in a project.

    Attributes:
        blueprint: the kind: ``project``, ``entity``, ``job``.
        name: what was made with it; a project has one record of each kind and name.
        options: from which the blueprint renders the same again; JSON.
        release: the version of Backstay that rendered; `Plan` fills it in, unless it is given.
        files: the paths that it wrote and renders again; `Plan` fills them in.
    """

    blueprint: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    release: str = ""
    files: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Where it is kept, in the project."""
        return f"{_RECORDS}/{self.blueprint}-{self.name}.json"

    def to_json(self) -> str:
        """The text of its file, which is the same for the same record."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def records(root: Path) -> tuple[Record, ...]:
    """What was generated in this project, in the order of the names of the files.

    Raises:
        BlueprintError: a record cannot be read.
    """
    return tuple(_read(path) for path in sorted((root / _RECORDS).glob("*.json")))


def record_of(root: Path, blueprint: str, name: str) -> Record | None:
    """What was generated under this name, or None.

    Raises:
        BlueprintError: the record cannot be read.
    """
    path = root / Record(blueprint, name).path
    return _read(path) if path.is_file() else None


def platform_of(root: Path) -> Record | None:
    """What is remembered of all of Backstay in a project that owns it, or None.

    Raises:
        BlueprintError: the record cannot be read.
    """
    return record_of(root, PLATFORM, "backstay")


def release_at(root: Path) -> str:
    """The release that runs in a project: where it owns Backstay, that of its copy.

    Raises:
        BlueprintError: the record of the copy cannot be read.
    """
    platform = platform_of(root)
    return platform.release if platform else __version__


def _read(path: Path) -> Record:
    try:
        found = json.loads(path.read_text("utf-8"))
        return Record(**found | {"files": tuple(found["files"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BlueprintError(
            f"{path} cannot be read ({error}). Take it back from git: git checkout -- {path}"
        ) from None


def base_path(path: str) -> str:
    """Where the text of a file is kept as it was generated."""
    return f"{_BASES}/{path}{_SUFFIX}"


def base_of(root: Path, path: str) -> str | None:
    """The text of a file as it was generated last, or None."""
    kept = root / base_path(path)
    return kept.read_text("utf-8") if kept.is_file() else None


def as_generated(root: Path, record: Record) -> Iterator[str]:
    """The paths of the files of a record in which a person has changed nothing."""
    for path in record.files:
        base = root / base_path(path)
        both = base.is_file() and (root / path).is_file()
        if both and base.read_bytes() == (root / path).read_bytes():
            yield path


class Conflict(NamedTuple):
    """What a conflict was about: a person may have left lines out that mend something.

    ``base`` is the text that was generated before it, by ``release``.
    """

    release: str
    base: str

    def to_json(self) -> str:
        """The text of its file."""
        return json.dumps(self._asdict(), indent=2, ensure_ascii=False) + "\n"

    def is_settled(self, yours: str, generated: str) -> bool:
        """Whether the person's text has everything that was generated since."""
        merged = merge(self.base, yours, generated)
        return not merged.conflicts and merged.text == yours


def conflict_path(path: str) -> str:
    """Where it is kept that a file had a conflict."""
    return f"{_CONFLICTS}/{path}.json"


def conflict_of(root: Path, path: str) -> Conflict | None:
    """The oldest conflict of a file of which lines may have been left out, or None."""
    kept = root / conflict_path(path)
    try:
        return Conflict(**json.loads(kept.read_text("utf-8"))) if kept.is_file() else None
    except (OSError, ValueError, TypeError) as error:
        raise BlueprintError(
            f"{kept} cannot be read ({error}). Take it back from git: git checkout -- {kept}"
        ) from None
