"""Tells which changes of the public names break projects that were written before."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.architecture.api import Api, Entry

_KINDS = ("classmethod async def ", "classmethod def ", "async def ", "def ", "@property ")
_EVERYTHING = {"", "Any", "object"}
_POSITION, _EITHER, _NAME = "by position", "either", "by name"


@dataclass(frozen=True)
class Break:
    """What breaks projects: the public name, or one of a class, and what became of it."""

    name: str
    told: str


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function."""

    name: str
    given: str
    type: str
    is_required: bool


@dataclass(frozen=True)
class Line:
    """A line of the description: a function (``kind`` ends with `def`) or an attribute."""

    kind: str
    name: str
    type: str
    value: str
    parameters: tuple[Parameter, ...] = ()

    @property
    def is_function(self) -> bool:
        return self.kind.endswith("def ")


def breaks(old: Api, new: Api) -> list[Break]:
    """What breaks a project that was written for the older of two descriptions."""
    found: list[Break] = []
    for name, entry in old.items():
        if name not in new:
            found.append(Break(name, "is gone"))
        elif entry["kind"] != new[name]["kind"]:
            found.append(Break(name, f"was a {entry['kind']} and is a {new[name]['kind']}"))
        elif entry["kind"] == "class":
            found += _of_class(name, old, new)
        else:
            lines = (_lines(each["lines"]) for each in (entry, new[name]))
            found += [
                Break(name, told)
                for before, after in zip(*(each.values() for each in lines), strict=True)
                for told in _of_lines(before, after, is_port=False, is_field=False)
            ]
    return list(dict.fromkeys(found))


def _of_class(name: str, old: Api, new: Api) -> Iterator[Break]:
    bases = _bases(name, new)
    for base in sorted(_bases(name, old) - bases):
        yield Break(name, f"no longer inherits {base}")
    before, after = _members(name, old), _members(name, new)
    is_port = "typing.Protocol" in bases
    is_model = "pydantic.BaseModel" in bases and "is_given" not in new[name]
    for member in before:
        path = name if member == "__init__" else f"{name}.{member}"
        if member not in after:
            yield Break(path, "is gone")
            continue
        for told in _of_lines(before[member], after[member], is_port=is_port, is_field=is_model):
            yield Break(path, told)
    for member in after.keys() - before.keys():
        [line, *_] = after[member]
        if is_port and line.is_function:
            yield Break(f"{name}.{member}", "is new: adapters of projects do not have it")
        if is_model and _is_required(line):
            yield Break(f"{name}.{member}", "is new and has no default")


def _is_required(line: Line) -> bool:
    """Whether a line of a model is a field without a default."""
    return not line.kind and not line.value and not line.type.startswith("ClassVar")


def _bases(name: str, api: Api) -> set[str]:
    """All that a class inherits, by name."""
    entry: Entry = api.get(name, {})
    own = set(entry.get("bases", ()))
    return own.union(*(_bases(base, api) for base in own))


def _members(name: str, api: Api) -> dict[str, list[Line]]:
    """What a class has, with what it inherits from public ones."""
    found: dict[str, list[Line]] = {}
    for base in api[name].get("bases", ()):
        found |= _members(base, api) if base in api else {}
    return found | _lines(api[name]["lines"])


def _of_lines(
    old: Sequence[Line], new: Sequence[Line], *, is_port: bool, is_field: bool
) -> list[str]:
    """What breaks: with overloads, each of the old ones needs a new one that takes its calls."""
    found: list[str] = []
    for line in old:
        each_way = [list(_of_line(line, each, is_port, is_field)) for each in new]
        found += sorted(each_way, key=len)[0]
    return found


def _of_line(old: Line, new: Line, is_port: bool, is_field: bool) -> Iterator[str]:
    if old.is_function != new.is_function or (old.is_function and old.kind != new.kind):
        yield f"was `{_spoken(old)}` and is `{_spoken(new)}`"
        return
    if _gives_more(old.type, new.type) or (is_port and _plain(old.type) != _plain(new.type)):
        yield f"is `{new.type}` and no longer `{old.type}`"
    if old.is_function:
        yield from _of_call(old, new, is_port)
    elif is_field and not old.kind and _accepts_less(old.type, new.type):
        yield f"accepts `{new.type}` and no longer `{old.type}`"
    if is_field and _is_required(new) and not _is_required(old):
        yield "has no default any more"
    if old.value != new.value and "..." not in {old.value, new.value} and old.value and new.value:
        yield f"is {new.value} and no longer {old.value}"


def _spoken(line: Line) -> str:
    return line.kind.strip() or "an attribute"


def _of_call(old: Line, new: Line, is_port: bool) -> Iterator[str]:
    """What callers notice; of a port, also what those who implement it notice."""
    after = {each.name: each for each in new.parameters}
    places = [each.name for each in new.parameters if each.given in {_POSITION, _EITHER}]
    place = -1
    for each in old.parameters:
        place += each.given in {_POSITION, _EITHER}
        here = places[place] if 0 <= place < len(places) else None
        if each.name in after:
            yield from _of_parameter(each, after[each.name], here, is_port)
        elif each.given == _POSITION and here:
            yield from _of_parameter(each, after[here], here, is_port)
        else:
            yield f"no longer takes the parameter `{each.name}`"
    before = {each.name for each in old.parameters}
    renamed = {
        here for each, here in zip(old.parameters, places, strict=False) if each.given == _POSITION
    }
    for each in new.parameters:
        if each.name in before | renamed:
            continue
        if each.is_required:
            yield f"has a new parameter `{each.name}` without a default"
        elif is_port:
            yield f"has a new parameter `{each.name}`, which adapters of projects do not take"


def _of_parameter(old: Parameter, new: Parameter, here: str | None, is_port: bool) -> Iterator[str]:
    by_place, by_name = {_POSITION, _EITHER}, {_EITHER, _NAME}
    if old.given in by_place and new.given in by_place and here != new.name:
        yield f"takes the parameter `{old.name}` in another place"
    for ways in (by_place, by_name):
        if old.given in ways and new.given not in ways:
            yield f"takes the parameter `{old.name}` only {new.given}"
    if new.is_required and not old.is_required:
        yield f"requires the parameter `{old.name}`"
    if _accepts_less(old.type, new.type) or (is_port and _plain(old.type) != _plain(new.type)):
        yield f"takes `{new.type}` and no longer `{old.type}` as `{old.name}`"


def _accepts_less(old: str, new: str) -> bool:
    parts = _plain(new)
    return not (parts & _EVERYTHING or _plain(old) <= parts)


def _gives_more(old: str, new: str) -> bool:
    parts = _plain(old)
    return not (parts & _EVERYTHING or _plain(new) <= parts)


def _plain(annotation: str) -> frozenset[str]:
    """The alternatives of a type; names that are not public stand for one another."""
    if not annotation:
        return frozenset({""})
    found = frozenset(map(ast.unparse, _alternatives(ast.parse(annotation, mode="eval").body)))
    return frozenset(re.sub(r"(?<![\w.])_[A-Za-z]\w*", "_", each) for each in found)


def _alternatives(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        yield from (*_alternatives(node.left), *_alternatives(node.right))
    else:
        yield node


def _lines(texts: Sequence[str]) -> dict[str, list[Line]]:
    """The parsed lines by name; overloads share one."""
    found: dict[str, list[Line]] = {}
    for text in texts:
        line = _line(text)
        found.setdefault(line.name, []).append(line)
    return found


def _line(text: str) -> Line:
    kind = next((each for each in _KINDS if text.startswith(each)), "")
    if kind.endswith("def "):
        node: Any = ast.parse(f"def {text.removeprefix(kind)}: ...").body[0]
        return Line(kind, node.name, _source(node.returns), "", tuple(_parameters(node.args)))
    target, _, value = text.removeprefix(kind).partition(" = ")
    name, _, annotation = target.partition(": ")
    return Line(kind, name, annotation, value)


def _parameters(found: ast.arguments) -> Iterator[Parameter]:
    placed = [*((each, _POSITION) for each in found.posonlyargs)]
    placed += [(each, _EITHER) for each in found.args]
    required = len(placed) - len(found.defaults)
    for number, (each, given) in enumerate(placed):
        yield Parameter(each.arg, given, _source(each.annotation), number < required)
    if found.vararg:
        yield Parameter(f"*{found.vararg.arg}", "*", _source(found.vararg.annotation), False)
    for each, default in zip(found.kwonlyargs, found.kw_defaults, strict=True):
        yield Parameter(each.arg, _NAME, _source(each.annotation), default is None)
    if found.kwarg:
        yield Parameter(f"**{found.kwarg.arg}", "**", _source(found.kwarg.annotation), False)


def _source(node: ast.expr | None) -> str:
    return ast.unparse(node) if node else ""
