"""Puts single lines into a person's Python files, and takes them out again.

Everything else of the file stays as it is, comments included. Where the place cannot be found for
certain, nothing is guessed: `PlaceNotFound`.
"""

import ast
import re
from collections.abc import Sequence

from backstay.blueprints.layout import WIDTH, import_of, natural, section_of


class PlaceNotFound(Exception):
    """The file has no such place, or one that only its author can change."""


def imports(text: str, module: str, name: str) -> bool:
    """Whether a file imports a name at its top."""
    return any(
        alias.name == name
        for node in ast.parse(text).body
        if isinstance(node, ast.ImportFrom) and node.module == module and not node.level
        for alias in node.names
    )


def with_import(text: str, module: str, name: str, project: str) -> str:
    """The text with the import of a name, where isort would put it."""
    if imports(text, module, name):
        return text
    body = [n for n in ast.parse(text).body if isinstance(n, ast.Import | ast.ImportFrom)]
    for node in body:
        same = isinstance(node, ast.ImportFrom) and node.module == module and not node.level
        if same and "#" not in _source(text, node):
            names = [*(ast.unparse(alias) for alias in node.names), name]
            return _replaced(text, node, import_of(module, names))
    return _with_line(text, body, module, import_of(module, [name]), project)


def _with_line(
    text: str, body: list[ast.Import | ast.ImportFrom], module: str, line: str, project: str
) -> str:
    """The text with a statement of its own among its imports."""
    section = section_of(module, project)
    mine = [node for node in body if _section(node, project) == section]
    if before := [node for node in mine if _key(node) <= (1, natural(module))]:
        return _after(text, before[-1], f"\n{line}")
    if mine:
        return _before(text, mine[0], f"{line}\n")
    if earlier := [node for node in body if _section(node, project) < section]:
        return _after(text, earlier[-1], f"\n\n{line}")
    if body:
        return _before(text, body[0], f"{line}\n\n")
    first = ast.parse(text).body[:1]
    is_docstring = bool(first) and isinstance(first[0], ast.Expr)
    return _after(text, first[0], f"\n\n{line}") if is_docstring else f"{line}\n\n{text}"


def without_import(text: str, module: str, name: str) -> str:
    """The text without the import of a name, if nothing uses it any more."""
    tree = ast.parse(text)
    if any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree)):
        return text
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == module and not node.level:
            names = [ast.unparse(alias) for alias in node.names]
            if name in names and "#" not in _source(text, node):
                rest = [each for each in names if each != name]
                return _replaced(text, node, import_of(module, rest)) if rest else _cut(text, node)
    return text


def with_element(text: str, owner: ast.Call, keyword: str, element: str) -> str:
    """The text with one more element in a tuple or list that a call is given by keyword.

    Raises:
        PlaceNotFound: the argument is something else, or its place has comments.
    """
    for each in owner.keywords:
        if each.arg == keyword:
            return with_item(text, each.value, element)
        if each.arg is None:
            raise PlaceNotFound
    return _with_argument(text, owner, f"{keyword}=({element},)")


def with_item(text: str, value: ast.expr, element: str) -> str:
    """The text with one more element in a tuple or list.

    Raises:
        PlaceNotFound: it is something else, or its place has comments.
    """
    if not isinstance(value, ast.Tuple | ast.List):
        raise PlaceNotFound
    items = [_source(text, each) for each in value.elts]
    return _with_items(text, value, [*items, element])


def without_item(text: str, value: ast.expr, name: str) -> str:
    """The text without the element of a tuple or list that speaks of a name.

    Raises:
        PlaceNotFound: there is none, or its place has comments.
    """
    if not isinstance(value, ast.Tuple | ast.List):
        raise PlaceNotFound
    kept = [_source(text, each) for each in value.elts if not _names(each, name)]
    if len(kept) == len(value.elts):
        raise PlaceNotFound
    return _with_items(text, value, kept)


def without_element(text: str, owner: ast.Call, keyword: str, name: str) -> str:
    """The text without the element that speaks of a name; with the last one the keyword goes.

    Raises:
        PlaceNotFound: there is none, or its place has comments.
    """
    for each in owner.keywords:
        if each.arg == keyword and isinstance(each.value, ast.Tuple | ast.List):
            if len(each.value.elts) > 1 or not _names(each.value, name):
                return without_item(text, each.value, name)
            rest = [*owner.args, *(other for other in owner.keywords if other is not each)]
            return _with_arguments(text, owner, [_source(text, argument) for argument in rest])
    raise PlaceNotFound


def with_field(text: str, owner: ast.ClassDef, lines: str) -> str:
    """The text with lines at the end of the body of a class."""
    last = owner.body[-1]
    gap = "\n" if isinstance(last, ast.AnnAssign) else "\n\n"
    return _after(text, last, f"{gap}{lines}")


def without_field(text: str, owner: ast.ClassDef, name: str) -> str:
    """The text without a field of a class.

    Raises:
        PlaceNotFound: there is no such field.
    """
    for node in owner.body:
        if isinstance(node, ast.AnnAssign) and _names(node.target, name):
            return _cut(text, node)
    raise PlaceNotFound


def _with_items(text: str, value: ast.Tuple | ast.List, items: Sequence[str]) -> str:
    source = _source(text, value)
    if "#" in source:
        raise PlaceNotFound
    opening, closing = ("(", ")") if isinstance(value, ast.Tuple) else ("[", "]")
    comma = "," if len(items) == 1 and opening == "(" else ""
    one = f"{opening}{', '.join(items)}{comma}{closing}"
    lines = text.split("\n")
    end = value.end_lineno or value.lineno
    rest = len(_of(lines[value.lineno - 1], value.col_offset, "before"))
    rest += len(_of(lines[end - 1], value.end_col_offset or 0, "after"))
    if "\n" in source or rest + len(one) > WIDTH:
        indent = re.match(" *", lines[value.lineno - 1])[0]  # type: ignore[index]
        inner = "".join(f"{indent}    {item},\n" for item in items)
        one = f"{opening}\n{inner}{indent}{closing}" if items else f"{opening}{closing}"
    return _replaced(text, value, one)


def _with_argument(text: str, call: ast.Call, argument: str) -> str:
    given = [_source(text, each) for each in (*call.args, *call.keywords)]
    return _with_arguments(text, call, [*given, argument])


def _with_arguments(text: str, call: ast.Call, given: list[str]) -> str:
    source = _source(text, call)
    if "#" in source:
        raise PlaceNotFound
    head = _source(text, call.func)
    one = f"{head}({', '.join(given)})"
    line = text.split("\n")[call.lineno - 1]
    fits = len(_of(line, call.col_offset, "before")) + len(one) <= WIDTH and "\n" not in one
    if not fits or ("\n" in source and len(given) > 2):
        indent = re.match(" *", line)[0]  # type: ignore[index]
        one = f"{head}(\n" + "".join(_argument(each, indent) for each in given) + f"{indent})"
    return _replaced(text, call, one)


def _argument(source: str, indent: str) -> str:
    line = f"{indent}    {source},\n"
    if len(line) - 1 <= WIDTH or "\n" in source or not source.endswith(",)"):
        return line
    head, _, inner = source.removesuffix(",)").partition("=(")
    return f"{indent}    {head}=(\n{indent}        {inner},\n{indent}    ),\n"


def _names(node: ast.AST, name: str) -> bool:
    return any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(node))


def _section(node: ast.Import | ast.ImportFrom, project: str) -> int:
    return section_of(_module(node), project)


def _key(node: ast.Import | ast.ImportFrom) -> tuple[int, list[str | int]]:
    return int(isinstance(node, ast.ImportFrom)), natural(_module(node))


def _module(node: ast.Import | ast.ImportFrom) -> str:
    return (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name


def _source(text: str, node: ast.AST) -> str:
    start, end = _span(text, node)
    return text[start:end]


def _replaced(text: str, node: ast.AST, new: str) -> str:
    start, end = _span(text, node)
    return text[:start] + new + text[end:]


def _after(text: str, node: ast.AST, new: str) -> str:
    """The text with something behind the last line of a node."""
    end = text.find("\n", _span(text, node)[1])
    end = len(text) if end < 0 else end
    return text[:end] + new + text[end:]


def _before(text: str, node: ast.AST, new: str) -> str:
    start = _span(text, node)[0]
    return text[:start] + new + text[start:]


def _cut(text: str, node: ast.AST) -> str:
    """The text without the lines of a node, and without a gap that it alone needed."""
    start, end = _span(text, node)
    start = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", end)
    stop = len(text) if stop < 0 else stop + 1
    above, below = text[:start], text[stop:]
    if above.endswith("\n\n") and (below.startswith("\n") or not below):
        above = above[:-1]
    return above + (below if above else below.lstrip("\n"))


def _span(text: str, node: ast.AST) -> tuple[int, int]:
    """Where a node begins and ends; the tree counts bytes of lines."""
    lines = text.split("\n")
    found: list[int] = []
    for line, column in (("lineno", "col_offset"), ("end_lineno", "end_col_offset")):
        number, place = getattr(node, line) - 1, getattr(node, column)
        found.append(sum(len(each) + 1 for each in lines[:number]))
        found[-1] += len(_of(lines[number], place, "before"))
    return found[0], found[1]


def _of(line: str, place: int, side: str) -> str:
    """What of a line stands before or after a place, which counts bytes."""
    encoded = line.encode()
    return (encoded[:place] if side == "before" else encoded[place:]).decode()
