"""Plans how entities get into a project: what is written, and the migration of their tables."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from backstay.blueprints.entities.checks import faults_of
from backstay.blueprints.entities.description import Entity, Field
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


def merged(old: Entity | None, new: Entity) -> Entity:
    """The entity after a further run, which adds and changes, but removes nothing."""
    if old is None:
        return new
    fields = {each.name: each for each in old.fields} | {each.name: each for each in new.fields}
    kids = {each.name: each for each in old.children} | {each.name: each for each in new.children}
    verbs = {each.verb: each for each in old.transitions}
    verbs |= {each.verb: each for each in new.transitions}
    return replace(
        old,
        fields=tuple(fields.values()),
        children=tuple(kids.values()),
        transitions=tuple(verbs.values()),
        owned=old.owned or new.owned,
        soft_delete=old.soft_delete or new.soft_delete,
    ).with_statuses()


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
        if old and old.owned != entities[each.name].owned:
            problems.append(
                f"{each.name}: rows that are there belong to nobody, so it cannot become owned. "
                f"Remove it and add it again: backstay remove {each.name}"
            )
    if len({each.name for each in told}) < len(told):
        problems.append("An entity is described twice. Put both descriptions together.")
    problems += faults_of(list(entities.values()), project.taken(entities))
    if problems:
        raise BlueprintError(*dict.fromkeys(problems), usage=True)


def _refuse_missing_values(project: Project, entities: dict[str, Entity], tell: Tell) -> None:
    """Refuse a further column that rows would have no value for."""
    wanting = {
        entity.plural: lacking
        for name, entity in entities.items()
        if (old := project.entities.get(name)) and (lacking := list(_lacking(old, entity)))
    }
    if not wanting:
        return
    tell(f"Looking whether {listed(wanting)} hold rows.")
    filled = tables_with_rows(project.root, list(wanting))
    problems = [
        f"{table}.{field.name}: the table has rows, which would have no value. Give one: "
        f"{field.name}:{field.kind}=…, or let it be null: {field.name}:{field.kind}?"
        for table in filled
        for field in wanting[table]
    ]
    if problems:
        raise BlueprintError(*problems)


def _lacking(old: Entity, new: Entity) -> Iterator[Field]:
    before = {field.name: field for field in old.fields}
    for field in new.fields:
        was = before.get(field.name)
        if not field.is_optional and (was is None or was.nullable):
            yield field
