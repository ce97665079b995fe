"""Copies a packaged feature that nobody else imports into a project, as a feature of its own."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import backstay
from backstay.blueprints.ejecting import KIND, Ejected, Home, require_feature
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.project import OPTIONAL, ProjectOptions, render_project
from backstay.blueprints.records import Record, record_of, records
from backstay.blueprints.tree import Plan

OWN = "own"
"""The blueprint of such a copy."""
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


def eject_as_own(root: Path, home: Home, feature: str) -> Ejected:
    """Copy a feature into the features of a project, and leave the packaged one out of it.

    Raises:
        BlueprintError: there is no such feature, others import it, or something must not be
            written.
    """
    require_feature(feature)
    if record_of(root, KIND, feature):
        raise BlueprintError(f"{feature} is ejected already. First: backstay uneject {feature}")
    if feature not in OPTIONAL or (users := _importers(root, home, feature)):
        why = (
            "it belongs to the foundation" if feature not in OPTIONAL else f"{users[0]} imports it"
        )
        raise BlueprintError(
            f"{feature} cannot become a feature of the project's own: {why}. As a copy under its "
            f"packaged name it can: backstay eject {feature}",
            usage=True,
        )
    record = Record(OWN, feature, asdict(home))
    plan = Plan.of(root, render_own(feature, record.options), record)
    left, switched = _left_out(root, home, feature)
    return Ejected(plan + switched if switched else plan, left)


def _left_out(root: Path, home: Home, feature: str) -> tuple[tuple[str, ...], Plan | None]:
    """Leave the packaged feature out of the application: what is to do, or a plan that does it."""
    record = record_of(root, "project", home.package)
    others = [name for name in OPTIONAL if name != feature]
    if record is None or record.release != backstay.__version__:
        owned = {each.name for each in records(root) if each.blueprint == OWN}
        kept = [f"{name}.feature" for name in others if name not in owned]
        listed = ", ".join(["*FOUNDATION", *kept])
        return (
            f"list in the application {listed} instead of *STANDARD; both copies of {feature} "
            "cannot be loaded.",
        ), None
    options = ProjectOptions(**record.options)
    without = tuple(sorted({*options.without, feature}))
    changed = ProjectOptions(**{**asdict(options), "without": without})
    return (), Plan.of(root, render_project(changed), changed.record)


def _importers(root: Path, home: Home, feature: str) -> list[str]:
    """The modules of Backstay and of the project that import a feature, except its own."""
    own = _CODE / "features" / feature
    name = f"backstay.features.{feature}"
    found = []
    for path in (*_sources(_CODE), *_sources(root / home.folder)):
        if path.is_relative_to(own):
            continue
        text = path.read_text("utf-8")
        if feature in text and any(_names(node, name) for node in ast.walk(ast.parse(text))):
            found.append(str(path.relative_to(_CODE.parent if _CODE in path.parents else root)))
    return found


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
