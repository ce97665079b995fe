"""Plans how entities get into a project: what is written, and the migration of their tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from backstay.blueprints.entities.changing import impossible, merged, wanting
from backstay.blueprints.entities.checks import faults_of
from backstay.blueprints.entities.description import Entity
from backstay.blueprints.entities.existing import KIND, Project
from backstay.blueprints.entities.rendering import render
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.records import Record
from backstay.blueprints.scratch import migration_of, scratch_copy, tables_with_rows
from backstay.blueprints.tree import Action, Plan
from backstay.blueprints.words import listed

Tell = Callable[[str], None]
"""Takes a sentence about what happens now."""


@dataclass(frozen=True)
class Addition:
    """What would be added.

    Attributes:
        plan: of the project's files; its conflicts keep a migration from being written.
        migration: the path of the migration, if one is needed.
    """

    plan: Plan
    migration: str | None


def addition(project: Project, told: Sequence[Entity], tell: Tell) -> Addition:
    """Plan to add entities, or to add to those that are there; nothing is written yet.

    The rendering is tried in a copy of the project, where it boots and the migration is written.

    Raises:
        BlueprintError: something is wrong with the entities or with the project; it has every
            reason.
    """
    entities = {each.name: merged(project.entities.get(each.name), each) for each in told}
    _refuse_faults(project, told, entities)
    _refuse_missing_values(project, entities, tell)
    known = project.known(entities)
    uses = [
        (render(entity, known, project.package), Record(KIND, name, entity.options()))
        for name, entity in entities.items()
    ]
    plan = _together(project, uses, {})
    if all(change.action is Action.KEEP for change in plan.changes):
        return Addition(plan, None)
    names = [entity.plural for entity in entities.values()]
    tell(f"Trying {listed(names)} in a copy of the project.")
    with scratch_copy(project.root) as copy:
        tried = _together(replace(project, root=copy), uses, {})
        tried.apply()
        if plan.conflicts:
            return Addition(plan, None)
        found = migration_of(copy, _message(project, entities), names)
    once = dict([found]) if found else {}
    return Addition(_together(project, uses, once), found[0] if found else None)


def _together(
    project: Project, uses: Sequence[tuple[dict[str, str], Record]], once: dict[str, str]
) -> Plan:
    (first, record), *rest = uses
    plan = Plan.of(project.root, first, record, once=once)
    for rendered, each in rest:
        plan += Plan.of(project.root, rendered, each)
    return plan


def _message(project: Project, entities: dict[str, Entity]) -> str:
    """What the migration is called."""
    new = [each.spoken_plural for name, each in entities.items() if name not in project.entities]
    old = [each.spoken_plural for name, each in entities.items() if name in project.entities]
    shown = [*new, *old]
    told = listed(shown) if len(shown) < 4 else f"{shown[0]} and {len(shown) - 1} more"
    return f"{'Add' if new else 'Change'} {told}"


def _refuse_faults(project: Project, told: Sequence[Entity], entities: dict[str, Entity]) -> None:
    problems = []
    for each in told:
        old = project.entities.get(each.name)
        if old and each.plural != old.plural:
            problems.append(
                f"{each.name}: its plural is {old.plural}, and renaming a table is up to you. "
                f"Leave {each.plural} out."
            )
        if old:
            problems += impossible(old, entities[each.name])
    if len({each.name for each in told}) < len(told):
        problems.append("An entity is described twice. Put both descriptions together.")
    problems += faults_of(list(entities.values()), project.taken(entities))
    if problems:
        raise BlueprintError(*dict.fromkeys(problems), usage=True)


def _refuse_missing_values(project: Project, entities: dict[str, Entity], tell: Tell) -> None:
    """Refuse columns that rows would have no value for."""
    wanted = [
        each
        for name, entity in entities.items()
        if (old := project.entities.get(name))
        for each in wanting(old, entity)
    ]
    if not wanted:
        return
    tell(f"Looking at the rows of {listed(dict.fromkeys(each.table for each in wanted))}.")
    found = tables_with_rows(project.root, list(dict.fromkeys(each.asked for each in wanted)))
    if problems := [str(each) for each in wanted if each.asked in found]:
        raise BlueprintError(*problems)
