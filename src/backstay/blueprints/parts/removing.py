"""Plans how a part leaves a feature again; nothing is written here."""

from collections.abc import Callable
from pathlib import Path

from backstay.blueprints.changes import Action, Change, content_of
from backstay.blueprints.entities.existing import Project
from backstay.blueprints.entities.removing import yours
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.parts import edits
from backstay.blueprints.parts.adding import HOME, Files, Tell, application_of, part_of_record
from backstay.blueprints.parts.description import KINDS, Part
from backstay.blueprints.parts.edits import Element, Field
from backstay.blueprints.parts.reading import Source
from backstay.blueprints.parts.rendering import module_of
from backstay.blueprints.records import Record, record_of, records
from backstay.blueprints.scratch import boot, scratch_copy
from backstay.blueprints.tree import Plan
from backstay.blueprints.words import listed


def part_removal(project: Project, kind: str, name: str, tell: Tell) -> Plan:
    """Plan to remove a part; the rest of the project is tried in a copy without it.

    Raises:
        BlueprintError: it was not generated, has lines of a person, or other code needs it.
    """
    record = record_of(project.root, kind, name) if kind in KINDS else None
    if record is None:
        there = [f"{each.blueprint} {each.name}" for each in records(project.root)]
        parts = [each for each in there if each.partition(" ")[0] in KINDS]
        told = f"There are: {listed(parts)}." if parts else "There are none."
        raise BlueprintError(f"No {kind} {name} was generated here. {told}", usage=True)
    part = part_of_record(record)
    plan = _without(project.root, project.package, part, record)
    mine = [change.path for change in plan.changes if change.action is Action.LEAVE]
    problems = [yours(project.root, path) for path in mine]
    if problems := [*problems, *_uses(project, part, plan)]:
        raise BlueprintError(*problems)
    tell("Trying it in a copy of the project.")
    with scratch_copy(project.root) as copy:
        _without(copy, project.package, part, record).apply()
        boot(copy, [])
    return plan


def _without(root: Path, package: str, part: Part, record: Record) -> Plan:
    files = Files(Source(root, package), {}, {})
    application = application_of(root)
    for element in edits.elements_of(part, files.source, application):
        paste = f"Take {element.name} out of it yourself, commit, and run this again."
        roles = edits.roles_in(files.source, application) if element.keyword == "roles" else None
        module, variable = roles or (element.module, "")
        files.edit(module, _taking(element, variable), paste)
    group = edits.group_in(files.source, application)
    if group and (field := edits.field_of(part, group)):
        paste = f"Take the field {field.name} out of {group.name} yourself, and run this again."
        files.edit(group.module, _taking_field(field), paste)
    changes = [*files.changes(), *_empty_home(root, package, part, record)]
    return Plan.removal(root, record) + Plan(root, tuple(changes), {})


def _taking(element: Element, variable: str) -> Callable[[str], str]:
    return lambda text: edits.take(text, element, variable)


def _taking_field(field: Field) -> Callable[[str], str]:
    return lambda text: edits.take_field(text, field)


def _empty_home(root: Path, package: str, part: Part, record: Record) -> list[Change]:
    """The folder of parts, if the last one leaves it and nobody has written into it."""
    path = f"src/{package}/features/{part.feature}/parts/__init__.py"
    home, before = (root / path).parent, content_of(root / path)
    left = {each.relative_to(root).as_posix() for each in home.glob("*.py")} - {path}
    text = HOME.format(feature=part.feature.replace("_", " ")).encode()
    if before != text or left - set(record.files) or part.kind == "setting":
        return []
    return [Change(path, Action.REMOVE, before, None, tracked=False)]


def _uses(project: Project, part: Part, plan: Plan) -> list[str]:
    """Where other code imports the part."""
    here = module_of(part, project.package)
    changed = {change.path for change in plan.changes}
    problems = []
    for top in ("src", "tests"):
        for path in sorted((project.root / top).rglob("*.py")):
            name = path.relative_to(project.root).as_posix()
            if name not in changed and here in path.read_text("utf-8", "replace"):
                problems.append(f"{name} uses {here}. Take that out first.")
    return problems
