"""Gives packaged features to a project, as copies that stand in their place.

A copy keeps the names of the packaged modules: there is one class and one table of each. What type
checkers need to find it is written beside the first copy, and removed with the last one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path

import backstay
from backstay.blueprints.checkers import finding, without
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.files import decoded
from backstay.blueprints.records import Record, base_of, record_of, records
from backstay.blueprints.rendering import render
from backstay.blueprints.tree import Plan
from backstay.settings.ejected import FEATURES, FOLDER
from backstay.settings.project import find_project

KIND, SHARED, OWN = "eject", "ejected", "own"
"""The blueprints of a copy, of what all copies of a project share, and of a copy as own."""
_CODE = Path(backstay.__file__).parent
_TEMPLATES = {"mail": "mailing/mail_templates"}
"""By feature: the packaged folder of its templates."""


@dataclass(frozen=True)
class Home:
    """Where a project keeps what it ejects.

    Attributes:
        package: the name of its package: ``shop``.
        folder: the folder of the package: ``src/shop``.
        templates: the folder of its templates: ``src/shop/templates``.
    """

    package: str
    folder: str
    templates: str

    @property
    def ejected(self) -> str:
        """The folder of all copies."""
        return f"{self.folder}/{FOLDER}"

    def record(self, feature: str) -> Record:
        """What is remembered of an ejected feature."""
        return Record(KIND, feature, asdict(self))

    @property
    def shared(self) -> Record:
        """What is remembered of the files that all copies share."""
        return Record(SHARED, self.package, asdict(self))


@dataclass(frozen=True)
class Ejected:
    """The plan of a command, and what it leaves to the person, in sentences."""

    plan: Plan
    left: tuple[str, ...] = ()


def home_of(start: Path) -> tuple[Path, Home]:
    """The root of the project of a folder, and where it keeps copies.

    Raises:
        BlueprintError: there is no project, or its application is in no package.
        ConfigurationError: its `pyproject.toml` cannot be read, or names no application.
    """
    project = find_project(start)
    if project is None:
        raise BlueprintError(
            f"{start} is in no project: no pyproject.toml above has a table [tool.backstay]. "
            "Make a project: backstay new shop"
        )
    package, *inside = project.app.partition(":")[0].split(".")
    for folder in (f"src/{package}", package):
        if (project.root / folder / "__init__.py").is_file():
            templates = "/".join((folder, *inside[:-1], "templates"))
            return project.root, Home(package, folder, templates)
    raise BlueprintError(
        f"{project.app} is in no package of {project.root}. Put the application into a package, "
        "such as src/shop/application.py with an __init__.py beside it."
    )


def render_ejected(feature: str, options: Mapping[str, str]) -> Mapping[str, str]:
    """The text of every file of an ejected feature: its code, its templates and a test.

    ``options`` are those of its record. The code is that of the installed release.
    """
    home = Home(**options)
    rendered = {
        f"{home.ejected}/{FEATURES}/{feature}/{path}": text
        for path, text in _texts(_CODE / "features" / feature)
    }
    if feature in _TEMPLATES:
        rendered |= {
            f"{home.templates}/{feature}/{path}": text
            for path, text in _texts(_CODE / _TEMPLATES[feature])
        }
    test = render("ejected/test.py", feature=feature, package=home.package)
    return rendered | {f"tests/ejected/test_{feature}.py": test}


def render_shared(options: Mapping[str, str]) -> Mapping[str, str]:
    """The text of the files that all copies share: checkers and linters read them.

    A checker takes a folder for `backstay` only if it has the names of `backstay` itself.
    """
    home = Home(**options)
    up = "../" * len(Path(home.ejected).parts)
    below = f"{home.ejected}/{FEATURES}"
    return {
        f"{home.ejected}/ruff.toml": render("ejected/ruff.toml", up=up),
        f"{home.ejected}/backstay/__init__.pyi": (_CODE / "__init__.pyi").read_text("utf-8"),
        f"{below}/__init__.pyi": render("ejected/features.pyi", names=packaged()),
    }


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            yield path.relative_to(folder).as_posix(), path.read_text("utf-8")


def eject(root: Path, home: Home, feature: str) -> Ejected:
    """Copy a feature into a project; where there is a copy, merge what Backstay changed since.

    A template that the project has already stays as it is.

    Raises:
        BlueprintError: there is no such feature, or something must not be written.
    """
    require_feature(feature)
    rendered = render_ejected(feature, asdict(home))
    kept = without_own_templates(root, rendered)
    plan = Plan.of(root, kept, home.record(feature))
    plan += Plan.of(root, render_shared(asdict(home)), home.shared)
    change, by_hand = finding((root / "pyproject.toml").read_bytes(), home.ejected)
    record = record_of(root, "project", home.package)
    if record and feature in record.options.get("without", ()):
        by_hand = (*by_hand, f"list {feature}.feature in the application, which leaves it out.")
    stays = tuple(
        f"{path} stays as it is: it is yours already."
        for path in sorted(rendered.keys() - kept.keys())
    )
    return Ejected(plan + Plan(root, (change,), {}), (*by_hand, *stays))


def without_own_templates(root: Path, rendered: Mapping[str, str]) -> Mapping[str, str]:
    """What is rendered, except the templates that the project had before it ejected them."""
    return {
        path: text
        for path, text in rendered.items()
        if "/templates/" not in path
        or not (root / path).exists()
        or base_of(root, path) is not None
    }


def uneject(root: Path, record: Record) -> Ejected:
    """Remove the copy of a feature, so that the packaged one is used again.

    Raises:
        BlueprintError: the project changed something of it.
    """
    home = Home(**record.options)
    refuse_changed(root, record, f"{home.ejected}/{FEATURES}/{record.name}")
    plan, by_hand = Plan.removal(root, record), tuple[str, ...]()
    others = [each for each in records(root) if each.blueprint == KIND and each != record]
    if not others:
        plan += Plan.removal(root, home.shared)
        change, by_hand = without((root / "pyproject.toml").read_bytes(), home.ejected)
        plan += Plan(root, (change,), {})
    return Ejected(plan, by_hand)


def refuse_changed(root: Path, record: Record, folder: str) -> None:
    """Refuse to remove a copy that the project has changed, or put further files into.

    Raises:
        BlueprintError: it names the files.
    """
    changed = [path for path in record.files if not _is_as_copied(root, path)]
    if changed := [*changed, *sorted({*files_in(root, folder)} - {*record.files})]:
        raise BlueprintError(
            f"The project has changed {', '.join(changed)}. Nothing was removed. To see what would "
            f"be lost: backstay diff {record.name}"
        )


def files_in(root: Path, folder: str) -> Iterator[str]:
    """The paths of the files below a folder of a project, except what Python keeps there."""
    for path in (root / folder).rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(root).as_posix()


def _is_as_copied(root: Path, path: str) -> bool:
    file = root / path
    return file.is_file() and decoded(path, file.read_bytes())[0] == base_of(root, path)


def ejected_record(root: Path, feature: str) -> Record:
    """What is remembered of an ejected feature.

    Raises:
        BlueprintError: it is not ejected, or there is no such feature.
    """
    require_feature(feature)
    record = record_of(root, KIND, feature) or record_of(root, OWN, feature)
    if record is None:
        others = [each.name for each in records(root) if each.blueprint in {KIND, OWN}]
        are = f"Ejected: {', '.join(others)}." if others else "No feature is."
        raise BlueprintError(
            f"The project has no copy of {feature}. {are} To make one: backstay eject {feature}",
            usage=True,
        )
    return record


def packaged() -> list[str]:
    """The names of the features that Backstay has."""
    return sorted(each.parent.name for each in (_CODE / "features").glob("*/__init__.py"))


def require_feature(name: str) -> None:
    """Refuse what is no packaged feature.

    Raises:
        BlueprintError: it says which there are.
    """
    names = packaged()
    if name not in names:
        near = get_close_matches(name, names, n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise BlueprintError(
            f"Backstay has no feature {name!r}; it has {', '.join(names)}.{meant}", usage=True
        )
