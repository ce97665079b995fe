"""The blueprint of the platform: all of Backstay, as code of a project that wants to own it.

The copy keeps its name and its place below `src`, so that whatever imports `backstay` finds it, and
a later release is merged into it file by file (docs/decisions/0036).
"""

import re
from collections.abc import Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

import backstay
from backstay.blueprints.changelog import FILE
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.records import OWNED, PLATFORM, Record, platform_of
from backstay.blueprints.rendering import render
from backstay.settings.project import OWN_COPY

_CODE = Path(backstay.__file__).parent
_SWITCH = "settings/project.py"
_LICENSE = "licenses/LICENSE"
_EXTRA = re.compile(r"(?:^|\s+and\s+)extra == ['\"](?P<name>[\w-]+)['\"]$")
_OF_DEVELOPERS = "testing", "upgrade"
"""The extras that no running application needs."""


class Requirements(NamedTuple):
    """What the installed release requires.

    Attributes:
        to_run: distributions, with versions and markers.
        extras: by name of an extra: what it adds.
    """

    to_run: tuple[str, ...]
    extras: Mapping[str, tuple[str, ...]]

    @property
    def to_develop(self) -> tuple[str, ...]:
        """What tests, upgrades and the type checker need: that of all extras."""
        every = dict.fromkeys(each for extra in self.extras.values() for each in extra)
        return tuple(sorted(every, key=str.casefold))

    @property
    def of_settings(self) -> Mapping[str, tuple[str, ...]]:
        """The extras that a running application needs for some of its settings."""
        return {name: each for name, each in self.extras.items() if name not in _OF_DEVELOPERS}


def platform_record() -> Record:
    """What is remembered of the copy."""
    return Record(PLATFORM, "backstay")


def render_platform() -> Mapping[str, str]:
    """The text of every file of the installed release, and what its copy has besides.

    Raises:
        BlueprintError: no release is installed here.
    """
    installed = _installed()
    rendered = {
        f"{OWNED}/{path.relative_to(_CODE).as_posix()}": path.read_text("utf-8")
        for path in sorted(_CODE.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    switch = f"{OWNED}/{_SWITCH}"
    rendered[switch] = rendered[switch].replace("OWN_COPY: bool = False", "OWN_COPY: bool = True")
    rendered |= {
        f"{OWNED}/CHANGELOG.md": FILE.read_text("utf-8"),
        f"{OWNED}/ruff.toml": render("own/ruff.toml"),
        "tests/test_backstay.py": render("own/test.py"),
    }
    if text := installed.read_text(_LICENSE):
        rendered[f"{OWNED}/LICENSE"] = text
    return rendered


def requirements() -> Requirements:
    """What the installed release requires, as its metadata say.

    Raises:
        BlueprintError: no release is installed here.
    """
    to_run = list[str]()
    extras: dict[str, tuple[str, ...]] = {}
    for text in sorted(_installed().requires or (), key=str.casefold):
        needed, _, marker = (part.strip() for part in text.partition(";"))
        if found := _EXTRA.search(marker):
            rest = _EXTRA.sub("", marker)
            told = f"{needed}; {rest}" if rest else needed
            extras[found["name"]] = (*extras.get(found["name"], ()), told)
        else:
            to_run.append(f"{needed}; {marker}" if marker else needed)
    return Requirements(tuple(to_run), dict(sorted(extras.items())))


def _installed() -> Distribution:
    """The installed release.

    A copy is none, whatever was changed in it: as the base of a merge, its changes would count as
    those of a release.
    """
    try:
        if not OWN_COPY:
            return distribution("backstay")
    except PackageNotFoundError:
        pass
    raise BlueprintError(
        "All of Backstay is written from an installed release, and none is installed here. Make an "
        "environment, pip install backstay into it, and run that command."
    )


def refuse_ejecting(root: Path, feature: str | None) -> None:
    """Refuse to copy, or to give back, a feature in a project that has all of Backstay.

    Raises:
        BlueprintError: it has.
    """
    if platform_of(root):
        raise BlueprintError(
            "The project has all of Backstay, so nothing is left to copy or to give back: change "
            f"{OWNED}/features/{feature or 'users'}. To see what you changed: backstay diff "
            f"{feature or 'users'}",
            usage=True,
        )


def folders_of(feature: str | None) -> tuple[str, ...]:
    """The folders of a project's copy of a feature, or of all of Backstay."""
    if feature is None:
        return (OWNED,)
    templates = (f"{OWNED}/mailing/mail_templates",) if feature == "mail" else ()
    return (f"{OWNED}/features/{feature}", *templates)
