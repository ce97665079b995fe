"""Copies a packaged feature that nobody else imports into a project, as a feature of its own."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import backstay
from backstay.blueprints.ejecting import (
    KIND,
    OWN,
    SHARED,
    Ejected,
    Home,
    refuse_changed,
    render_ejected,
    render_shared,
    require_feature,
    without_own_templates,
)
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.project import OPTIONAL, ProjectOptions, render_project
from backstay.blueprints.records import Record, base_of, record_of
from backstay.blueprints.tree import Plan

_CODE = Path(backstay.__file__).parent
_IMPORTS = (ast.Import, ast.ImportFrom)


def render_own(feature: str, options: Mapping[str, str]) -> Mapping[str, str]:
    """The text of every file of such a copy; ``options`` are those of its record."""
    home, folder = Home(**options), _CODE / "features" / feature
    return {
        f"{home.folder}/features/{feature}/{path.relative_to(folder).as_posix()}": _rewritten(
            path.read_text("utf-8"), feature, home.package
        )
        for path in sorted(folder.rglob("*.py"))
    }


def rendered(root: Path, record: Record) -> Mapping[str, str]:
    """What the installed release renders for the record of a copy; `Plan.of` merges it.

    Raises:
        LookupError: the record is not of a copy.
    """
    if record.blueprint == OWN:
        return render_own(record.name, record.options)
    if record.blueprint == SHARED:
        return render_shared(record.options)
    if record.blueprint != KIND:
        raise LookupError(f"{record.blueprint} is not the blueprint of a copy")
    return without_own_templates(root, render_ejected(record.name, record.options))


def eject_as_own(root: Path, home: Home, feature: str) -> Ejected:
    """Copy a feature into the features of a project, and leave the packaged one out of it.

    Raises:
        BlueprintError: there is no such feature, others import it, or something must not be
            written.
    """
    require_feature(feature)
    if record_of(root, KIND, feature):
        raise BlueprintError(f"{feature} is ejected already. First: backstay uneject {feature}")
    if why := _obstacle(root, home, feature):
        raise BlueprintError(
            f"{feature} cannot become a feature of the project's own: {why}. As a copy under its "
            f"packaged name it can: backstay eject {feature}",
            usage=True,
        )
    record = Record(OWN, feature, asdict(home))
    plan = Plan.of(root, render_own(feature, record.options), record)
    left, switched = _switched(root, home, feature, present=False)
    return Ejected(plan + switched if switched else plan, left)


def give_back(root: Path, record: Record) -> Ejected:
    """Remove such a copy, so that the packaged feature is used again.

    Raises:
        BlueprintError: the project changed something of it.
    """
    home = Home(**record.options)
    refuse_changed(root, record, f"{home.folder}/features/{record.name}")
    plan = Plan.removal(root, record)
    left, switched = _switched(root, home, record.name, present=True)
    return Ejected(plan + switched if switched else plan, left)


def _switched(
    root: Path, home: Home, feature: str, *, present: bool
) -> tuple[tuple[str, ...], Plan | None]:
    """Leave the packaged feature out of the application, or not: what is to do, or a plan of it."""
    record = record_of(root, "project", home.package)
    if record is None or record.release != backstay.__version__:
        task = (
            f"list {feature}.feature of backstay.features in the application again."
            if present
            else f"leave the packaged {feature} out of the application, which cannot have both: "
            f"list *FOUNDATION and what it has of {', '.join(OPTIONAL)}, instead of *STANDARD."
        )
        return (task,), None
    options = ProjectOptions(**record.options)
    without = {*options.without} - {feature} if present else {*options.without, feature}
    changed = replace(options, without=tuple(sorted(without)))
    return (), Plan.of(root, render_project(changed), changed.record)


def _obstacle(root: Path, home: Home, feature: str) -> str | None:
    """Why a feature can only be copied under its packaged name, or None."""
    if feature not in OPTIONAL:
        return "it belongs to the foundation"
    if users := _importers(root, home, feature):
        return f"{users[0]} imports it"
    if internal := _internal(feature):
        return f"it uses {internal[0]}, which is no public name of Backstay"
    return None


def _internal(feature: str) -> list[str]:
    """The internal modules that a feature imports: the contracts of a project forbid them."""
    nodes = [
        node
        for path in _sources(_CODE / "features" / feature)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
    ]
    names = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    names += [each.name for node in nodes if isinstance(node, ast.Import) for each in node.names]
    public = ("backstay.features.", "backstay.testing.")
    return sorted(
        name for name in names if name.startswith("backstay.") and not f"{name}.".startswith(public)
    )


def _importers(root: Path, home: Home, feature: str) -> list[str]:
    """The modules of Backstay and of the project that import a feature, except its own.

    The application that `backstay new` wrote lists it, and will not any more.
    """
    own = _CODE / "features" / feature
    name = f"backstay.features.{feature}"
    found = []
    for path in (*_sources(_CODE), *_sources(root / home.folder)):
        if path.is_relative_to(own):
            continue
        place = str(path.relative_to(_CODE.parent if _CODE in path.parents else root))
        listing = base_of(root, place) if place == f"{home.folder}/application.py" else None
        if _uses(path.read_text("utf-8"), name) > _uses(listing or "", name):
            found.append(place)
    return found


def _uses(text: str, name: str) -> int:
    """How often code imports a module."""
    if name.rpartition(".")[2] not in text:
        return 0
    return sum(_names(node, name) for node in ast.walk(ast.parse(text)))


def _sources(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*.py")) if "ejected" not in path.parts)


def _names(node: ast.AST, name: str) -> bool:
    """Whether code imports a module, or names it in a text by which it is imported later."""
    if isinstance(node, ast.ImportFrom):
        above, _, last = name.rpartition(".")
        imported = {alias.name for alias in node.names}
        return f"{node.module}.".startswith(f"{name}.") or (
            node.module == above and last in imported
        )
    if isinstance(node, ast.Import):
        return any(f"{alias.name}.".startswith(f"{name}.") for alias in node.names)
    value = node.value if isinstance(node, ast.Constant) else None
    return isinstance(value, str) and f"{value}.".startswith(f"{name}.")


def _rewritten(text: str, feature: str, package: str) -> str:
    """The text of a module with the project's names, its imports in the order of isort there."""
    text = re.sub(rf"\bbackstay\.features\.{feature}\b", f"{package}.features.{feature}", text)
    tree = ast.parse(text)
    imports = [node for node in tree.body if isinstance(node, _IMPORTS)]
    if not imports:
        return text
    lines = text.splitlines(keepends=True)
    first, last = imports[0].lineno - 1, imports[-1].end_lineno or 0
    sections: dict[int, list[tuple[tuple[bool, str], str]]] = {}
    for node in imports:
        module = node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
        written = "".join(lines[node.lineno - 1 : node.end_lineno])
        key = (isinstance(node, ast.ImportFrom), module.lower())
        sections.setdefault(_section(module, package), []).append((key, written))
    head = "\n".join("".join(each for _, each in sorted(sections[n])) for n in sorted(sections))
    return "".join(lines[:first]) + head + "".join(lines[last:])


def _section(module: str, package: str) -> int:
    top = module.partition(".")[0]
    return 0 if top in sys.stdlib_module_names else 2 if top == package else 1
