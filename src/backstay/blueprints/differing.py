"""Shows how an ejected feature differs from the packaged one: both changed since it was copied."""

from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from typing import NamedTuple

from backstay.blueprints.ejecting import ejected_record, render_ejected
from backstay.blueprints.files import decoded
from backstay.blueprints.records import base_of
from backstay.settings.ejected import FEATURES


class Differences(NamedTuple):
    """Unified diffs against the text that was copied; empty where nothing differs.

    ``release`` is the version of Backstay that it was copied from, or merged with last.
    """

    release: str
    of_backstay: str
    of_the_project: str


def differences(root: Path, feature: str) -> Differences:
    """What Backstay and the project changed of a feature since it was ejected.

    Raises:
        BlueprintError: it is not ejected, or a file is not UTF-8.
    """
    record = ejected_record(root, feature)
    installed = render_ejected(feature, record.options)
    folder = root / record.options["folder"] / "ejected" / FEATURES / feature
    own = {
        path.relative_to(root).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    theirs: list[str] = []
    mine: list[str] = []
    for path in sorted({*record.files, *installed, *own}):
        base, now = base_of(root, path), installed.get(path)
        if base is not None or path not in own:
            skipped = base is None and (root / path).exists()  # the person's before it was ejected
            theirs += [] if skipped else _diff(path, base, now)
        if base is not None or path in own:
            mine += _diff(path, base, _text(root, path))
    return Differences(record.release, "".join(theirs), "".join(mine))


def _text(root: Path, path: str) -> str | None:
    file = root / path
    return decoded(path, file.read_bytes())[0] if file.is_file() else None


def _diff(path: str, old: str | None, new: str | None) -> Iterator[str]:
    if old == new:
        return iter(())
    return unified_diff(
        (old or "").splitlines(keepends=True),
        (new or "").splitlines(keepends=True),
        "/dev/null" if old is None else f"a/{path}",
        "/dev/null" if new is None else f"b/{path}",
    )
