"""Plans how an entity leaves a project, with the migration that drops its tables."""

import ast
from collections.abc import Iterator
from pathlib import Path

from backstay.blueprints.entities.adding import Addition, Tell
from backstay.blueprints.entities.description import Entity
from backstay.blueprints.entities.existing import KIND, Project
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.records import Record, base_of, base_path, records
from backstay.blueprints.scratch import migration_of, scratch_copy, tables_with_rows
from backstay.blueprints.tree import Action, Plan
from backstay.blueprints.words import listed


def removal(project: Project, name: str, tell: Tell) -> Addition:
    """Plan to remove an entity; nothing is written yet.

    Raises:
        BlueprintError: it was not generated, its files were changed, other code refers to it, or
            the configured database holds rows of it or cannot be asked; it has every reason.
    """
    entity, record = project.entities.get(name), project.records.get(name)
    if entity is None or record is None:
        there = listed(sorted(project.entities)) or "none"
        raise BlueprintError(
            f"No entity {name} was generated here. There are: {there}. What was written by hand "
            "is removed by hand.",
            usage=True,
        )
    plan = Plan.removal(project.root, record)
    problems = [*_changed(project, plan, entity), *_uses(project, entity)]
    if problems:
        raise BlueprintError(*problems)
    tell(f"Looking whether {listed(entity.tables)} hold rows.")
    if filled := tables_with_rows(project.root, list(entity.tables)):
        raise BlueprintError(
            f"The configured database has rows in {listed(filled)}, which would be lost. Delete "
            "them first."
        )
    tell("Trying it in a copy of the project.")
    with scratch_copy(project.root) as copy:
        Plan.removal(copy, record).apply()
        found = migration_of(copy, f"Remove {entity.spoken_plural}", [])
    once = dict([found]) if found else {}
    plan = Plan.removal(project.root, record, once=once)
    return Addition(plan, found[0] if found else None)


def _changed(project: Project, plan: Plan, entity: Entity) -> Iterator[str]:
    """The files that a person changed or added, which nothing but the person deletes."""
    mine = [change.path for change in plan.changes if change.action is Action.LEAVE]
    folder = project.root / "src" / project.package / "features" / entity.plural
    known = {change.path for change in plan.changes}
    mine += [
        path.relative_to(project.root).as_posix()
        for path in sorted(folder.rglob("*.py"))
        if path.relative_to(project.root).as_posix() not in known
    ]
    parts = _files_of_parts(project)
    homes = {f"{path.rpartition('/')[0]}/__init__.py" for path in parts}
    for path in mine:
        if part := parts.get(path):
            kind, name = part.blueprint, part.name
            yield f"{path} is the {kind} {name}. Remove it first: backstay remove {kind} {name}"
        elif path not in homes:
            yield yours(project.root, path)


def _files_of_parts(project: Project) -> dict[str, Record]:
    """The parts that were generated besides entities, by the paths of their files."""
    made = [each for each in records(project.root) if each.blueprint not in {KIND, "project"}]
    return {path: each for each in made for path in each.files}


def yours(root: Path, path: str) -> str:
    """Why a file stays, and how its person lets it go; until then the project needs it."""
    if base_of(root, path) is None:
        return f"{path} is yours. Delete it if you do not need it any more: git rm {path}"
    return (
        f"{path} has lines of yours. If you do not need them any more, take back what was "
        f"generated, commit, and run this again: cp {base_path(path)} {path}"
    )


def _uses(project: Project, entity: Entity) -> Iterator[str]:
    """Where other code imports the feature, refers to its tables or requires it."""
    package = f"{project.package}.features.{entity.plural}"
    texts = {f"{table}.id" for table in entity.tables} | {package}
    folder = Path("src") / project.package / "features" / entity.plural
    skipped = (folder, Path("src") / project.package / "migrations")
    parts = _files_of_parts(project)
    for top in ("src", "tests"):
        for path in sorted((project.root / top).rglob("*.py")):
            inside = path.relative_to(project.root)
            if inside.as_posix() in parts or any(map(inside.is_relative_to, skipped)):
                continue
            if inside == Path("tests") / f"test_{entity.plural}.py":
                continue
            for line, what in _named(path, package, texts):
                yield f"{inside}:{line} {what}. Take that out first."


def _named(path: Path, package: str, texts: set[str]) -> Iterator[tuple[int, str]]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            modules = [base, *(f"{base}.{each.name}" for each in node.names)]
        elif isinstance(node, ast.Import):
            modules = [each.name for each in node.names]
        elif isinstance(node, ast.Constant) and node.value in texts:
            yield node.lineno, f"refers to {node.value}"
        if any(f"{each}.".startswith(f"{package}.") for each in modules):
            yield getattr(node, "lineno", 0), f"imports {package}"
