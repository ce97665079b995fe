"""Lays generated Python out as ruff would, which need not be there when code is generated."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby
from unicodedata import east_asian_width

WIDTH = 100
_ANNOTATED = re.compile(r"(\s+\w+): (\w+(?:\[\w+\])?(?: \| None)?)( = None)?")
"""A field of a class whose type cannot be split."""
_DEF = re.compile(r"\s*(async )?def ")
"""A single parameter on a line of its own has a comma behind it."""
_OPEN, _CLOSE = "([{", ")]}"


def module(docstring: str, body: str, sources: Mapping[str, str], project: str) -> str:
    """A module: its docstring, the imports of the names that its body uses, and the body.

    ``sources`` has the module of each name that may have to be imported, and an empty text for a
    name that is a module itself, such as ``pytest``. A body that defines a name does not import it.
    """
    lines = [wrapped(line) for line in body.strip("\n").split("\n")]
    body = "\n".join(lines)
    imports = imports_of(body, sources, project)
    gap = "\n\n\n" if body.startswith(("class ", "@", "def ", "async def ")) else "\n\n"
    head = f'"""{docstring}"""\n'
    if imports:
        return f"{head}\n{imports}{gap}{body}\n"
    return f"{head}{gap[:-1]}{body}\n"


def imports_of(body: str, sources: Mapping[str, str], project: str) -> str:
    """The import statements of a body, in the sections and in the order of isort."""
    tree = ast.parse(body)
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    used = {name.id for name in names if isinstance(name.ctx, ast.Load)}
    own = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    own |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    own |= {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    wanted: dict[str, list[str]] = {}
    for name in (used - own) & sources.keys():
        wanted.setdefault(sources[name], []).append(name)
    sections: dict[int, list[str]] = {}
    for name in sorted(wanted.pop("", [])):
        sections.setdefault(section_of(name, project), []).append(f"import {name}")
    for name in sorted(wanted, key=natural):
        sections.setdefault(section_of(name, project), []).append(import_of(name, wanted[name]))
    return "\n\n".join("\n".join(sections[number]) for number in sorted(sections))


def section_of(name: str, project: str) -> int:
    """In which section isort puts a module: 0 the future, 1 Python, 2 packages, 3 the project."""
    top = name.partition(".")[0]
    if top in {project, "tests"}:
        return 3
    return 0 if top == "__future__" else 1 if top in sys.stdlib_module_names else 2


def import_of(source: str, names: list[str]) -> str:
    """The statement that imports these names."""
    names = sorted(names, key=_order)
    line = f"from {source} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return line
    return f"from {source} import (\n" + "".join(f"    {name},\n" for name in names) + ")"


def _order(name: str) -> tuple[int, list[str | int], str]:
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, natural(name), name


def natural(name: str) -> list[str | int]:
    """A key that sorts numbers in names by their values."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name.lower())]


def wrapped(line: str) -> str:
    """A logical line, on several lines if it is too long for one.

    What stands in the last brackets moves onto a line of its own, or onto one line each.
    """
    is_text = line.lstrip().startswith(('"""', "#"))
    if _width(line) <= WIDTH or is_text or "  # type: ignore" in line:
        return line
    indent = " " * (len(line) - len(line.lstrip()))
    span = _last_brackets(line)
    if span is None or _ANNOTATED.fullmatch(line):
        return _without_brackets(line, indent)
    start, end = span
    head, inner, tail = line[: start + 1], line[start + 1 : end], line[end:]
    target, equals, value = line.partition(" = ")
    if _width(head) > WIDTH and equals and _width(target) + 4 <= WIDTH:
        return f"{target} = (\n{wrapped(f'{indent}    {value}')}\n{indent})"
    if _width(head) > WIDTH and (first := _last_brackets(head[:-1])):
        a, b = first[0] + 1, first[1]
        head = f"{head[:a]}\n{indent}    {head[a:b]}\n{indent}{head[b:]}"
    is_call = line[start - 1].isidentifier() or line[start - 1] in _CLOSE
    return f"{head}\n{_inside(line, inner, indent, is_call=is_call)}{indent}{tail}"


def _without_brackets(line: str, indent: str) -> str:
    """A line in which nothing but a type or a value can move onto a line of its own."""
    if annotated := _ANNOTATED.fullmatch(line):
        name, annotation, value = annotated.groups()
        return f"{name}: (\n{indent}    {annotation}\n{indent}){value or ''}"
    target, equals, value = line.partition(" = ")
    name, colon, annotation = target.partition(": ")
    if colon and _width(target) + 4 > WIDTH:
        return f"{name}: (\n{indent}    {annotation}\n{indent}) = {value}"
    return f"{target} = (\n{indent}    {value}\n{indent})" if equals else line


def _inside(line: str, inner: str, indent: str, *, is_call: bool) -> str:
    """What stands in the last brackets of a line: on one line, or on one each."""
    together, parts = f"{indent}    {inner}", _parts(inner)
    is_together = len(parts) > 1 if _DEF.match(line) else is_call or len(parts) == 1
    if _width(together) <= WIDTH and is_together and inner[-1] != ",":
        return f"{together}\n"
    clauses = _clauses(inner)
    lines = clauses if len(clauses) > 1 else [f"{part}," for part in parts]
    return "".join(f"{wrapped(f'{indent}    {each}')}\n" for each in lines)


def _width(text: str) -> int:
    """Columns on a screen, of which Chinese characters take two."""
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def chained(lines: str) -> str:
    """An assignment of a chain of calls, given with one call a line."""
    first, *calls = lines.strip().split("\n")
    target, _, start = first.partition(" = ")
    together = start + "".join(calls)
    if len(target) + 3 + len(together) <= WIDTH:
        return f"{target} = {together}\n"
    if 4 + len(together) <= WIDTH:
        return f"{target} = (\n    {together}\n)\n"
    return f"{target} = (\n" + "".join(f"    {line}\n" for line in [start, *calls]) + ")\n"


def _last_brackets(line: str) -> tuple[int, int] | None:
    """The last pair of outermost brackets that holds something; of a function its parameters."""
    pairs, depth, start = [], 0, 0
    for place, letter in _code(line):
        if letter in _OPEN:
            if depth == 0:
                start = place
            depth += 1
        elif letter in _CLOSE:
            depth -= 1
            if depth == 0 and place > start + 1:
                pairs.append((start, place))
    if _DEF.match(line):
        return pairs[0] if pairs else None
    return pairs[-1] if pairs else None


def _parts(inner: str) -> list[str]:
    """What the commas outside of brackets separate."""
    cuts, depth = [-1], 0
    for place, letter in _code(inner):
        depth += (letter in _OPEN) - (letter in _CLOSE)
        if letter == "," and depth == 0:
            cuts.append(place)
    ends = [*cuts[1:], len(inner)]
    parts = [inner[a + 1 : b].strip() for a, b in zip(cuts, ends, strict=True)]
    return [part for part in parts if part]


def _clauses(inner: str) -> list[str]:
    """The element and the clauses of a comprehension; anything else as it is."""
    cuts, depth = [0], 0
    for place, letter in _code(inner):
        depth += (letter in _OPEN) - (letter in _CLOSE)
        if depth == 0 and inner.startswith((" for ", " if "), place):
            cuts.append(place + 1)
    ends = [*cuts[1:], len(inner)]
    return [inner[a:b].strip() for a, b in zip(cuts, ends, strict=True)]


def _code(line: str) -> Iterator[tuple[int, str]]:
    """The characters outside of texts, with their places."""
    for inside, group in groupby(_marked(line), key=lambda item: item[2]):
        if not inside:
            yield from ((place, letter) for place, letter, _ in group)


def _marked(line: str) -> Iterator[tuple[int, str, bool]]:
    quote, is_escaped = "", False
    for place, letter in enumerate(line):
        if quote:
            yield place, letter, True
            if letter == quote and not is_escaped:
                quote = ""
            is_escaped = letter == "\\" and not is_escaped
        else:
            quote = letter if letter in "\"'" else ""
            yield place, letter, bool(quote)
