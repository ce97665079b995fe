"""Compares the routes of all features with one another and with the handled messages."""

import re
from collections.abc import Container, Iterator, Sequence

from backstay.core.feature import Feature, Operation
from backstay.core.messages import Message
from backstay.core.wiring import Code, Flaw

_PLACEHOLDER = re.compile(r"\{[^}]*\}")


def operation_faults(
    features: Sequence[Feature], handled: Container[type[Message[object]]], root_path: str
) -> Iterator[Flaw]:
    """The faults of an application's routes."""
    by_path: dict[tuple[str, str], list[Operation]] = {}
    by_name: dict[str, Operation] = {}
    for table in (table for feature in features for table in feature.routes):
        yield from table.faults()
        for each in table.operations(root_path):
            route, name = f"{each.method} {each.path}", each.name
            if each.message not in handled:
                problem = f"{route} sends {each.message.__name__}, which no feature handles."
                hint = "Write its handler in a module that Feature(..., __name__) finds."
                yield Flaw(Code.ROUTE_NO_HANDLER, problem, hint).of(each)
            before = by_path.setdefault((each.method, _shape(each.path)), [])
            first = next((one for one in before if _takes(one.path, each.path)), None)
            before.append(each)
            if first is not None:
                as_ = "" if first.path == each.path else f"as {first.path} "
                problem = f"{route} is routed twice, first {as_}at {first.place}."
                yield Flaw(Code.ROUTE_TWICE, problem, "Remove one of them.").of(each)
            other = by_name.setdefault(name, each)
            if other is not each:
                there = f"{other.method} {other.path} at {other.place}"
                problem = f"{route} is the operation {name}, as {there} is."
                hint = "Give it a `name=` of its own."
                yield Flaw(Code.ROUTE_OPERATION_TWICE, problem, hint).of(each)


def _shape(path: str) -> str:
    """A path with every placeholder as ``{}``: the route index ignores their names."""
    parts = path.strip("/").split("/")
    return "/".join("{}" if part.startswith("{") else part for part in parts)


def _takes(path: str, other: str) -> bool:
    """Whether a path of the same shape also matches the requests of another one."""
    parts = map(re.escape, _PLACEHOLDER.split(path))
    return re.fullmatch("[^/]+".join(parts), _PLACEHOLDER.sub("x", other)) is not None
