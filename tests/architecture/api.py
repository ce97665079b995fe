"""Describes the public names as text that two versions can be compared by: ``make face``.

griffe reads the source: annotations are told as they are written, on every version of Python.
"""

import ast
import json
from collections.abc import Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import griffe

from tests.architecture.tree import ROOT

FOLDER = ROOT / "docs" / "api"
"""One file per release, and one of what is to become the next."""
COMING = "unreleased"
Entry = dict[str, Any]
"""A public name: its ``kind``, the public ``bases`` of a class, and ``lines``.

A line is a function as it is called, or an attribute: of the name itself, or of what a class has.
"""
Api = dict[str, Entry]
"""By public name: its entry."""
_PACKAGE = "backstay"
_STARS = {"variadic positional": "*", "variadic keyword": "**"}
_BEFORE_NAMED = {griffe.ParameterKind.keyword_only, griffe.ParameterKind.var_positional}
_UNTOLD = frozenset(
    {"__abstract__", "__eq__", "__hash__", "__mapper_args__", "__post_init__", "__repr__"}
    | {"__slots__", "__str__", "__tablename__", "model_config"}
)
"""Names that a project neither calls nor sets."""
_GIVEN = frozenset({"ActivityNote", "Backstay", "CacheTags", "Events", "Jobs",
                    "MaintenanceSwitch", "Paginator",
                    "PrincipalChanges", "Progress", "Purge", "Reader", "Sender", "Settings",
                    "Transaction", "Upload"})  # fmt: skip
"""Classes of which the package makes the objects: how they are made is not told."""


@cache
def current(source: Path = ROOT / "src") -> Api:
    """The public names of the package in this folder."""
    loader = griffe.GriffeLoader(search_paths=[source], allow_inspection=False)
    package = loader.load(_PACKAGE)
    loader.resolve_aliases(implicit=True)
    found = {
        name: member.final_target
        for name, member in sorted(package.members.items())
        if isinstance(member, griffe.Alias) and _is_ours(name, member)
    }
    places = {target.path: name for name, target in found.items()}
    return {name: _entry(name, target, places) for name, target in found.items()}


def _is_ours(name: str, member: griffe.Alias) -> bool:
    return member.target_path.startswith(f"{_PACKAGE}.") and not name.startswith("_")


def written(api: Api) -> str:
    """The description as the text of a file, one signature a line."""
    return json.dumps(api, indent=1, ensure_ascii=False) + "\n"


def read(version: str, folder: Path = FOLDER) -> Api:
    """The description in the file of a version."""
    api: Api = json.loads((folder / f"{version}.json").read_text("utf-8"))
    return api


def releases(folder: Path = FOLDER) -> list[str]:
    """The versions that have a description, the oldest first."""
    found = (path.stem for path in folder.glob("*.json") if path.stem != COMING)
    return sorted(found, key=lambda version: tuple(map(int, version.split("."))))


def _entry(name: str, found: Any, places: dict[str, str]) -> Entry:
    if found.is_function:
        return {"kind": "function", "lines": _signatures(found)}
    if found.is_class:
        return _class(name, found, places)
    return {"kind": "value", "lines": [_attribute(found)]}


def _class(name: str, found: griffe.Class, places: dict[str, str]) -> Entry:
    """A class with what it has itself and what it inherits from classes that are not public."""
    line = [found, *found.mro()]
    bases = {base for each in line for base in _outside_or_public(each, places)}
    members: dict[str, Any] = {}
    for each in reversed(line):
        if each is found or each.path not in places:
            members |= {key: member for key, member in each.members.items() if _is_told(key)}
    if name in _GIVEN:
        members.pop("__init__", None)
    lines = [text for _, member in sorted(members.items()) for text in _member(member)]
    entry = {"kind": "class", "bases": sorted(bases), "lines": lines}
    return entry | ({"is_given": True} if name in _GIVEN else {})


def _outside_or_public(found: griffe.Class, places: dict[str, str]) -> Iterator[str]:
    for base in found.bases:
        path = str(getattr(base, "canonical_path", base))
        if path in places:
            yield places[path]
        elif not path.startswith(f"{_PACKAGE}."):
            yield path


def _is_told(name: str) -> bool:
    if name in _UNTOLD or "pydantic" in name:
        return False
    return not name.startswith("_") or name.endswith("__")


def _member(found: Any) -> list[str]:
    if found.is_alias or found.is_class:
        return []
    return _signatures(found) if found.is_function else [_attribute(found)]


def _attribute(found: griffe.Attribute) -> str:
    """An attribute as it is written, with what stands for its value: `name: str = ...`.

    The value itself is told of an enumeration's members, which are stored and sent.
    """
    typed = f"{found.name}: {_text(found.annotation)}".removesuffix(": ")
    if "property" in found.labels:
        return f"@property {typed}"
    if found.value is None:
        return typed
    if any(str(base).endswith("Enum") for base in getattr(found.parent, "bases", ())):
        return f"{typed} = {found.value}"
    return typed if _is_required_field(found.value) else f"{typed} = ..."


def _is_required_field(value: Any) -> bool:
    """Whether a value is `Field(…)` or the like without a default."""
    if not isinstance(value, griffe.ExprCall) or str(value.function) not in {"Field", "field"}:
        return False
    named = {str(getattr(each, "name", "")) for each in value.arguments}
    return not named & {"", "default", "default_factory"}


def _signatures(found: griffe.Function) -> list[str]:
    return [_signature(each) for each in found.overloads or [found]]


def _signature(found: griffe.Function) -> str:
    """A function as it is called, such as `async def get(key: str, *, ttl: int = 5) -> bytes`."""
    bound = (
        found.parent is not None and found.parent.is_class and "staticmethod" not in found.labels
    )
    parameters = list(found.parameters)[1:] if bound else list(found.parameters)
    kind = "classmethod " if "classmethod" in found.labels else ""
    kind += "async def" if "async" in found.labels else "def"
    returns = f" -> {_text(found.returns)}" if found.returns else ""
    return f"{kind} {found.name}({', '.join(_parameters(parameters))}){returns}"


def _parameters(parameters: list[griffe.Parameter]) -> Iterator[str]:
    before: griffe.ParameterKind | None = None
    for each, after in zip_longest(parameters, parameters[1:]):
        options = _options(each)
        kind = griffe.ParameterKind.keyword_only if options else each.kind
        if kind is griffe.ParameterKind.keyword_only and before not in _BEFORE_NAMED:
            yield "*"
        yield from options or [_parameter(each)]
        if kind is griffe.ParameterKind.positional_only and (not after or after.kind is not kind):
            yield "/"
        before = kind


def _parameter(found: griffe.Parameter) -> str:
    stars = _STARS.get(str(found.kind and found.kind.value), "")
    told = f"{stars}{found.name}"
    told += f": {_text(found.annotation)}" if found.annotation else ""
    return told if stars or found.default is None else f"{told} = {found.default}"


def _options(found: griffe.Parameter) -> list[str]:
    """The options that `**options: Unpack[Options]` stands for, each of which may be left out."""
    text = str(found.annotation)
    if found.kind is not griffe.ParameterKind.var_keyword or not text.startswith("Unpack["):
        return []
    assert found.function is not None
    options = found.function.module[text.removeprefix("Unpack[").removesuffix("]")]
    lines = [*reversed(options.mro()), options]
    members = {name: each for line in lines for name, each in line.members.items()}
    return [f"{name}: {_text(each.annotation)} = ..." for name, each in members.items()]


def _text(annotation: Any) -> str:
    """A type as it is written, without what `Annotated` adds to it."""
    text = str(annotation or "").strip("'\"")
    return (
        ast.unparse(_Bare().visit(ast.parse(text, mode="eval"))) if "Annotated[" in text else text
    )


class _Bare(ast.NodeTransformer):
    """Leaves of `Annotated[X, …]` only X."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if ast.unparse(node.value) == "Annotated" and isinstance(node.slice, ast.Tuple):
            return self.visit(node.slice.elts[0])  # type: ignore[no-any-return]
        return self.generic_visit(node)
