"""Builds a group from what was found, and tells every fault in it instead of stopping at one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from backstay.settings.describe import default, kind
from backstay.settings.faults import Fault, Refused
from backstay.settings.group import BuiltFrom, Found, Group, NamedSource, Variable, variables_of

GroupT = TypeVar("GroupT", bound=Group)


@dataclass(frozen=True)
class Built(Generic[GroupT]):
    """A group without the values at fault, those faults, and the variables not to rely on."""

    group: GroupT
    faults: tuple[Fault, ...] = ()
    faulty: frozenset[str] = frozenset()


def build(group: type[GroupT], found: Mapping[str, Found], *, local: bool) -> Built[GroupT]:
    """Build a group; faulty values are replaced by defaults, so that the rest can be judged."""
    make: Callable[..., GroupT] = group
    try:
        return Built(make(_build_sources=((NamedSource(group, found, local=local),), {})))
    except ValidationError as error:
        if not found:
            raise
        problems = error.errors(include_url=False, include_input=False)
    variables = {variable.field: variable for variable in variables_of(group)}
    faults: dict[str, Fault] = {}
    for problem in problems:
        field = str(problem["loc"][0])
        faults.setdefault(field, _fault(variables[field], problem))
    parts = {part for field in faults for part in _parts(variables[field])}
    bad = {variables[field].name for field in faults.keys() | parts}
    rest = {name: value for name, value in found.items() if name not in bad}
    sound = build(group, rest if len(rest) < len(found) else {}, local=local)
    faulty = {fault.variable for fault in faults.values()}
    faulty |= {variables[field].name for field in faults}
    faulty |= {
        variable.name
        for variable in variables.values()
        if variable.name not in found and faults.keys() & _parts(variable)
    }
    return Built(sound.group, tuple(faults.values()), frozenset(faulty))


def _parts(variable: Variable) -> frozenset[str]:
    built_from = variable.marker(BuiltFrom)
    return frozenset(built_from.fields if built_from else ())


def _fault(variable: Variable, problem: ErrorDetails) -> Fault:
    error = problem.get("ctx", {}).get("error")
    if isinstance(error, Refused):
        return Fault(error.variable or variable.name, error.wrong, error.mend)
    message = problem["msg"].removeprefix("Input ")
    example = "" if variable.secret else default(variable, local=False)
    hint = f", such as {example}" if example else ""
    mend = f"Set it to: {kind(variable)}{hint}."
    return Fault(variable.name, message[0].lower() + message[1:], mend)
