"""What is told of a part: its kind, its name and the feature that it gets into."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from backstay.blueprints.entities.vocabulary import RESERVED_CLASSES
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.words import (
    CLASS,
    SNAKE,
    article,
    camel,
    listed,
    name_fault,
    no_name,
    snake,
    spoken,
)

KINDS: Mapping[str, str] = {
    "job": "SendReceipt",
    "event": "OrderPaid",
    "schedule": "CancelUnpaid",
    "report": "OrderCount",
    "upload": "AttachPhoto",
    "stream": "DownloadOrders",
    "webhook": "Payment",
    "router": "Today",
    "setting": "unpaid_days:int=14",
    "role": "manager",
}
"""The kinds of parts, each with a name that one may have."""
IN_SNAKE = frozenset({"setting", "role"})
_TYPES = ("str", "int", "float", "bool")
_USED = (
    "add admin application backstay client clock done folder head kept_in large line log login "
    "other person row rows self settings test user variables work carry_out routes signed send "
    "request principal"
)
_TAKEN = frozenset(_USED.split())
"""Names that generated code uses for something else."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a feature.

    Attributes:
        kind: one of `KINDS`.
        name: as told, without the type of a setting.
        feature: the folder of its feature.
        type: of a setting.
        default: of a setting, as Python; ``None`` if there is none.
        found: what the blueprint needs to know of the project; see `reading`.
    """

    kind: str
    name: str
    feature: str
    type: str = ""
    default: str = ""
    found: Mapping[str, Any] = field(default_factory=dict)

    @property
    def one(self) -> str:
        """The name of its module."""
        return snake(self.name)

    @property
    def cls(self) -> str:
        """The name of its class."""
        return camel(self.one) if self.kind in IN_SNAKE else self.name

    @property
    def spoken(self) -> str:
        """The name in a sentence."""
        return spoken(self.name)


def part_of(kind: str, told: str, feature: str) -> Part:
    """The part that a command line tells.

    Raises:
        BlueprintError: the name is none that it can have; it says why.
    """
    name, colon, rest = told.partition(":")
    form = SNAKE if kind in IN_SNAKE else CLASS
    of, like = article(kind), KINDS[kind].partition(":")[0]
    fault = name_fault(name, form, of, like=like, sql=False)
    if fault is None and form is CLASS and name_fault(snake(name), SNAKE, of, sql=False):
        fault = no_name(name, of, f"its module would be {snake(name)}, a Python keyword")
    if fault is None and kind == "role" and name in {"admin", "user"}:
        fault = no_name(name, of, "it is a role of Backstay")
    if fault is None and (name in RESERVED_CLASSES or snake(name) in _TAKEN):
        fault = no_name(name, of, "generated code uses it for something else")
    if fault:
        raise BlueprintError(fault, usage=True)
    if kind != "setting":
        if colon:
            raise BlueprintError(
                f"{told}: {of} has a name and no fields: backstay add {kind} {name} --to {feature}",
                usage=True,
            )
        return Part(kind=kind, name=name, feature=feature)
    return _setting(name, rest, feature)


def _setting(name: str, rest: str, feature: str) -> Part:
    kind, equals, value = rest.partition("=")
    if kind not in _TYPES:
        raise BlueprintError(
            f"{name}: the type {kind!r} is none of {listed(_TYPES)}. Write it like "
            f"{KINDS['setting']}.",
            usage=True,
        )
    default = next(_defaults(kind, value), None) if equals else "None"
    if default is None:
        raise BlueprintError(f"{name}: {value!r} is no {kind}.", usage=True)
    return Part(kind="setting", name=name, feature=feature, type=kind, default=default)


def _defaults(kind: str, value: str) -> Iterator[str]:
    """The Python of a value, if it is one of the type."""
    if kind == "str" and value.isprintable() and len(value) <= 40 and not set('\\"') & set(value):
        yield f'"{value}"'
    if kind == "bool" and value in {"true", "false"}:
        yield value.capitalize()
    if kind == "int" and re.fullmatch(r"-?(0|[1-9]\d{0,15})", value, re.ASCII):
        yield value
    if kind == "float" and re.fullmatch(r"-?\d{1,12}\.\d{1,12}", value, re.ASCII):
        yield repr(float(value))
    if kind == "float" and re.fullmatch(r"-?(0|[1-9]\d{0,11})", value, re.ASCII):
        yield f"{value}.0"
