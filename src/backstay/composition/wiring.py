"""Checks the features of an application as a whole, before anything starts."""

from collections.abc import Iterator, Sequence
from typing import Any

from backstay.composition.arrangements import admin_faults
from backstay.composition.clashes import clash_faults
from backstay.composition.ejections import ejection_faults
from backstay.composition.manifests import manifest_faults, shape_faults
from backstay.composition.operations import operation_faults
from backstay.composition.ownership import Ownership
from backstay.composition.roles import role_faults
from backstay.composition.unloaded import packageless_faults, unloaded_faults
from backstay.core.feature import Feature
from backstay.core.messages import Command
from backstay.core.permissions import RoleSpec
from backstay.core.registry import Registry
from backstay.core.wiring import BootError, Code, Flaw, Place
from backstay.db.base import Base
from backstay.db.owners import owner_faults
from backstay.features import FOUNDATION
from backstay.jobs.outbox import Outbox, answer_event
from backstay.settings import Settings


def listed(features: Sequence[Feature] | None) -> Sequence[Feature]:
    """The features of an application, by default those of the package.

    Raises:
        BootError: manifests lack their package, or their fields have the wrong types; it has every
            fault of the manifests.
    """
    if features is None:
        from backstay.features import STANDARD

        features = STANDARD
    if faults := (*shape_faults(features), *packageless_faults(features)):
        raise BootError(faults)
    return features


def declared_faults(
    roles: Sequence[RoleSpec],
    features: Sequence[Feature],
    registry: Registry,
    models: Sequence[type[Base]],
    settings: Settings,
) -> Iterator[Flaw]:
    """The faults of roles, of owners of rows, and of what arranges the console, if there is one."""
    yield from role_faults(roles, features, registry.finders.values())
    yield from owner_faults(models)
    if settings.admin.console:
        yield from admin_faults(features)


def check(
    registry: Registry, features: Sequence[Feature], ownership: Ownership, root_path: str
) -> None:
    """Refuse features that are wired wrongly.

    Raises:
        BootError: it has every fault, including those in the registry.
    """
    faults = [
        *registry.faults,
        *_foundation_faults(features),
        *ejection_faults(),
        *manifest_faults(features, registry, ownership),
        *operation_faults(features, registry.handlers, root_path),
        *clash_faults(features, registry.handlers, ownership),
        *unloaded_faults(features),
    ]
    if faults:
        raise BootError(faults)


def _foundation_faults(features: Sequence[Feature]) -> list[Flaw]:
    listed = {feature.name for feature in features}
    return [
        Flaw(
            Code.FEATURE_FOUNDATION,
            f"The feature {each.name} belongs to the foundation and is not listed.",
            "List FOUNDATION or STANDARD, which hold it: `features=(*STANDARD, ...)`.",
        ).of(each)
        for each in FOUNDATION
        if each.name not in listed
    ]


_FOUNDATION = ("backstay.backups.", "backstay.db.", "backstay.jobs.")
"""The packages whose tables every application has."""


def models_of(features: Sequence[Feature], ownership: Ownership) -> tuple[type[Base], ...]:
    """The models of the listed features and of the foundation; other loaded models are not used."""
    listed = {feature.name for feature in features}
    loaded = (mapper.class_ for mapper in Base.registry.mappers)
    needed = [
        model
        for model in loaded
        if ownership.owner(model.__module__) in listed or model.__module__.startswith(_FOUNDATION)
    ]
    return tuple(sorted(needed, key=lambda model: (model.__module__, model.__name__)))


def registry_of(features: Sequence[Feature]) -> Registry:
    """The handlers of all features, and the faults of their declarations."""
    functions = (function for feature in features for function in feature.functions())
    finders = {id(finder): finder for feature in features for finder in feature.finders()}
    registry = Registry((answer_event, *functions), finders.values())
    for feature in features:
        for source in feature.declared_sources():
            registry.note(source, *source.own_flaws())
        for source in feature.handler_sources():
            registry.note(source, *source.flaws())
    registry.check(message for feature in features for message in feature.messages())
    return registry


def commands_of(registry: Registry) -> dict[str, type[Command[Any]]]:
    """The commands by name, under which jobs store them; two of one name are a fault."""
    commands: dict[str, type[Command[Any]]] = {}
    for command in registry.handlers:
        if issubclass(command, Command):
            first = commands.setdefault(command.__name__, command)
            if first is not command:
                problem = f"Another command is called {command.__name__}, at {Place.of(first)}."
                flaw = Flaw(Code.COMMAND_NAME_TWICE, problem, "Give one of them another name.")
                registry.faults.append(flaw.of(command))
    return commands


def job_faults(features: Sequence[Feature], outbox: Outbox) -> Iterator[Flaw]:
    """The faults of schedules and of the tasks that users may start."""
    scheduled = [(f, each.name, type(each.command)) for f in features for each in f.schedule]
    tasks = [(f, *pair) for f in features for pair in f.tasks.items()]
    for what, asked, twice, refused in (
        ("schedule", scheduled, Code.SCHEDULE_TWICE, Code.SCHEDULE_COMMAND),
        ("task", tasks, Code.TASK_TWICE, Code.TASK_COMMAND),
    ):
        seen: dict[str, Feature] = {}
        for feature, name, command in asked:
            if name in seen:
                problem = f"The {what} {name} is declared twice, first at {Place.of(seen[name])}."
                yield Flaw(twice, problem, "Give one another name.").of(feature)
            seen.setdefault(name, feature)
            fault = outbox.fault(command)
            if what == "task" and fault is None and command.fresh is not None:
                fault = f"{command.__name__} asks for a fresh proof, and a task for none"
            if fault:
                problem = f"The {what} {name} asks for what no job can be: {fault}."
                hint = "Name a command without secrets, nor `fresh`, that a listed feature handles."
                yield Flaw(refused, problem, hint).of(feature)
