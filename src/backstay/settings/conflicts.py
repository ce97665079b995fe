"""Checks the groups of settings that a project adds, before any of them is read."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic.errors import PydanticUndefinedAnnotation

from backstay.core.wiring import BootError, Code, Flaw, Place
from backstay.settings.fields import SettingsGroup
from backstay.settings.variables import Variable, variables_of

_PREFIX = re.compile(r"([A-Z][A-Z0-9]*_)+")
_RESERVED = ("BACKSTAY_",)
"""Prefixes of variables that the package or its libraries read apart from its groups, or will."""

Groups = Mapping[type[SettingsGroup], tuple[Variable, ...]]


def checked(added: Any, packaged: Groups) -> tuple[type[SettingsGroup], ...]:
    """The groups, unless one cannot be read or would read the variables of another one.

    Raises:
        BootError: it has every fault.
    """
    if isinstance(added, type) or not isinstance(added, Iterable):
        problem = f"The groups of settings are {added!r}, which is no list."
        hint = "List classes that derive from SettingsGroup, even a single one."
        raise BootError([Flaw(Code.SETTINGS_GROUP, problem, hint).of(added)])
    faults: list[Flaw] = []
    sound: list[type[SettingsGroup]] = []
    for group in added:
        found = list(_faults_of(group)) or list(_faults_of_prefix(group, sound, packaged))
        if found:
            faults += found
        else:
            sound.append(group)
    faults += _variables_twice(sound, packaged)
    if faults:
        raise BootError(faults)
    return tuple(sound)


def _faults_of(group: Any) -> Iterator[Flaw]:
    """What is wrong with a group by itself."""
    if not (
        isinstance(group, type) and issubclass(group, SettingsGroup) and group is not SettingsGroup
    ):
        problem = f"{group!r} is listed as a group of settings and is none."
        hint = "List classes that derive from SettingsGroup."
        yield Flaw(Code.SETTINGS_GROUP, problem, hint).of(group)
        return
    try:
        group.model_rebuild()
    except PydanticUndefinedAnnotation as error:
        problem = f"{group.__name__} uses the type {error.name}, which does not exist at run time."
        hint = "Import it outside of `if TYPE_CHECKING`, or correct its name."
        yield Flaw(Code.SETTINGS_GROUP, problem, hint).of(group)
        return
    for name, info in group.model_fields.items():
        if info.alias or info.validation_alias:
            problem = f"The field {name} of {group.__name__} has an alias, which is not read."
            hint = 'Remove it; another variable is read with Annotated[…, Setting(also="NAME")].'
            yield Flaw(Code.SETTINGS_ALIAS, problem, hint).of(group)


def _faults_of_prefix(
    group: type[SettingsGroup], others: Sequence[type[SettingsGroup]], packaged: Groups
) -> Iterator[Flaw]:
    prefix, name = group.env_prefix, group.__name__
    if "env_prefix" in group.model_fields:
        problem = f"{name} declares env_prefix with a type, so that it became a setting."
        hint = 'Write env_prefix = "SHOP_" without the type.'
        yield Flaw(Code.SETTINGS_PREFIX, problem, hint).of(group)
        return
    if not _PREFIX.fullmatch(prefix):
        problem = f"{name} has {f'the prefix {prefix!r}' if prefix else 'no prefix'}."
        hint = 'Write env_prefix = "SHOP_" in the class: capital letters, digits, and _ at the end.'
        yield Flaw(Code.SETTINGS_PREFIX, problem, hint).of(group)
        return
    if group in others:
        problem = f"{name} is listed twice."
        yield Flaw(Code.SETTINGS_PREFIX_TWICE, problem, "List it once.").of(group)
        return
    own = "Give it another prefix."
    for other in packaged:
        if other.env_prefix and prefix.startswith(other.env_prefix):
            problem = (
                f"The prefix {prefix} of {name} belongs to the package's {other.__name__}, "
                f"at {Place.of(other)}."
            )
            yield Flaw(Code.SETTINGS_PREFIX_TWICE, problem, own).of(group)
    if prefix.startswith(_RESERVED):
        problem = f"The prefix {prefix} of {name} belongs to the package."
        yield Flaw(Code.SETTINGS_PREFIX_TWICE, problem, own).of(group)
    for other in others:
        if prefix == other.env_prefix:
            problem = f"{name} has the prefix {prefix} of {other.__name__}, at {Place.of(other)}."
            hint = "Give one of them another prefix, or make them one group."
            yield Flaw(Code.SETTINGS_PREFIX_TWICE, problem, hint).of(group)


def _variables_twice(added: Sequence[type[SettingsGroup]], packaged: Groups) -> Iterator[Flaw]:
    readers = {name: each for group in packaged.values() for each in group for name in each.names}
    for variable in (each for group in added for each in variables_of(group)):
        for name in variable.names:
            first = readers.setdefault(name, variable)
            if first is not variable:
                problem = (
                    f"The variable {name} sets {_field(variable)} and also {_field(first)}, "
                    f"at {Place.of(first.group)}."
                )
                hint = "Rename one of the fields, or remove the other name that it has."
                yield Flaw(Code.SETTINGS_VARIABLE_TWICE, problem, hint).of(variable.group)
                break


def _field(variable: Variable) -> str:
    return f"{variable.group.__name__}.{variable.field}"
