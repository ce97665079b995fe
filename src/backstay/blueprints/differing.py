"""Shows how an ejected feature differs from the packaged one: both changed since it was copied."""

from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from typing import NamedTuple

from backstay.blueprints.ejecting import OWN, ejected_record, files_in, require_feature
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.files import decoded
from backstay.blueprints.owning import rendered
from backstay.blueprints.platform import folders_of
from backstay.blueprints.records import Record, base_of, platform_of
from backstay.blueprints.scratch import files_of
from backstay.settings.ejected import FEATURES, FOLDER


class Differences(NamedTuple):
    """Unified diffs against the text that was copied; empty where nothing differs.

    ``release`` is the version of Backstay that it was copied from, or merged with last.
    """

    release: str
    of_backstay: str
    of_the_project: str


def differences(root: Path, feature: str) -> Differences:
    """What Backstay and the project changed of a feature since it was ejected.

    Where the project owns all of Backstay, that is none of a later release.

    Raises:
        BlueprintError: it is not ejected, or a file is not UTF-8.
    """
    if platform := platform_of(root):
        require_feature(feature)
        return _of_owned(root, platform, feature)
    record = ejected_record(root, feature)
    is_own = record.blueprint == OWN
    installed = rendered(root, record)
    inside = "features" if is_own else f"{FOLDER}/{FEATURES}"
    own = {*files_in(root, f"{record.options['folder']}/{inside}/{feature}")}
    theirs: list[str] = []
    mine: list[str] = []
    for path in sorted({*record.files, *installed, *own}):
        base, now = base_of(root, path), installed.get(path)
        if base is not None or path not in own:
            theirs += _diff(path, base, now)
        if base is not None or path in own:
            mine += _diff(path, base, _text(root, path))
    return Differences(record.release, "".join(theirs), "".join(mine))


def all_differences(root: Path) -> Differences:
    """What a project that owns all of Backstay changed of it.

    Raises:
        BlueprintError: it does not own it, or a file is not UTF-8.
    """
    if platform := platform_of(root):
        return _of_owned(root, platform, None)
    raise BlueprintError("Name the ejected feature, as in: backstay diff users", usage=True)


def _of_owned(root: Path, platform: Record, feature: str | None) -> Differences:
    inside = tuple(f"{folder}/" for folder in folders_of(feature))
    paths = {path for path in (*platform.files, *files_of(root)) if path.startswith(inside)}
    mine = (
        line
        for path in sorted(paths)
        for line in _diff(path, base_of(root, path), _text(root, path))
    )
    return Differences(platform.release, "", "".join(mine))


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
