"""Run by an older release, as a process of this one: prints what becomes of a project, as JSON.

``python -m backstay.blueprints.reading OLD`` runs in the folder of a project that was on the
release OLD. It prints this release, its changelog since, what each record renders now, and the
files in which names change. Nothing is written.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from backstay import __version__
from backstay.blueprints.changelog import Unreadable, between, released
from backstay.blueprints.codemods import renamed, renames_between
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.files import decoded
from backstay.blueprints.kinds import KINDS
from backstay.blueprints.records import Record, as_generated, base_path, platform_of, records
from backstay.blueprints.scratch import files_of

NEEDS_LIBCST = 3
"""The exit code that says: install the extra ``upgrade``, then run this again."""


def main() -> None:
    """Print what becomes of the project; what is wrong goes to stderr, with exit code 1."""
    root, old = Path.cwd(), sys.argv[1]
    try:
        told = reading(root, old)
    except ImportError as error:
        if error.name is None or not error.name.startswith("libcst"):
            raise
        sys.exit(NEEDS_LIBCST)
    except BlueprintError as error:
        sys.exit(str(error))
    except Unreadable as error:
        sys.exit(f"The changelog of Backstay {__version__} cannot be read: {error}.")
    print(json.dumps(told))


def reading(root: Path, old: str) -> dict[str, Any]:
    """What becomes of a project.

    Raises:
        BlueprintError: a record cannot be rendered; it has every reason.
        ImportError: names are renamed, and libcst is missing.
    """
    sections = between(released(), old, __version__)
    return {
        "release": __version__,
        "changelog": "\n".join(section.markdown() for section in sections),
        "uses": list(_uses(root)),
        "edits": dict(_edits(root, renames_between(old, __version__))),
    }


def _uses(root: Path) -> Sequence[dict[str, Any]]:
    problems, found = [], []
    for record in records(root):
        if rendering := KINDS.get(record.blueprint):
            now = asdict(Record(record.blueprint, record.name, record.options, __version__))
            found.append(now | {"rendered": dict(rendering(root, record))})
        else:
            problems.append(
                f"{record.path} is of the kind {record.blueprint}, which Backstay {__version__} "
                f"does not know. If you want to keep its files as they are, delete {record.path}."
            )
    if problems:
        raise BlueprintError(*problems)
    return found


def _edits(root: Path, renames: list[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    """The files of the project, and bases of generated ones, in which names change."""
    if not renames:
        return
    # what the owner of Backstay left as it was is replaced; other lines there keep up with it
    platform = platform_of(root)
    replaced = set(as_generated(root, platform)) if platform else set()
    replaced |= set(map(base_path, replaced))
    for path in files_of(root):
        if path in replaced:
            continue
        if path.endswith((".py", ".py.base")) and (root / path).is_file():
            try:
                text = decoded(path, (root / path).read_bytes())[0]
            except BlueprintError:  # of another encoding: left alone, and its tests tell
                continue
            if (new := renamed(text, renames)) != text:
                yield path, new


if __name__ == "__main__":
    main()
