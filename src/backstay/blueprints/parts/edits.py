"""The lines of a part in a person's files: in the manifest, the application, roles and settings."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from backstay.blueprints import insertion
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.insertion import PlaceNotFound
from backstay.blueprints.layout import WIDTH
from backstay.blueprints.parts.description import Part
from backstay.blueprints.parts.reading import Source
from backstay.blueprints.parts.rendering import group_of, module_of


class Group(NamedTuple):
    """The class of settings of a project, and its module."""

    name: str
    module: str
    prefix: str


@dataclass(frozen=True)
class Element:
    """An element of a tuple that a call of a module is given by keyword.

    Attributes:
        module: the module of the call.
        keyword: of `Feature` or `Application`.
        element: the code of the element.
        name: the name in it that is imported.
        home: the module of that name.
        also: a further name that the element takes from `backstay`.
    """

    module: str
    keyword: str
    element: str
    name: str
    home: str
    also: str = ""


@dataclass(frozen=True)
class Field:
    """A field of the project's group of settings."""

    group: Group
    name: str
    lines: str
    names: tuple[str, ...]


def elements_of(part: Part, source: Source, application: str) -> Iterator[Element]:
    """The elements that a part puts into calls."""
    here = module_of(part, source.package)
    if part.kind == "schedule":
        made = f'cron("30 4 * * *", {part.cls}(), name="{part.one}")'
        home = f"{source.package}.features.{part.feature}"
        yield Element(home, "schedule", made, part.cls, here, "cron")
    elif part.kind in {"webhook", "router"}:
        name = f"{part.one}_router"
        yield Element(application, "routers", name, name, here)
    elif part.kind == "role":
        name = part.one.upper()
        yield Element(application, "roles", name, name, here)


def field_of(part: Part, group: Group) -> Field | None:
    """The setting that a part has."""
    if part.kind == "webhook":
        name = f"{part.one}_secret"
        about = f"Key with which calls of {part.spoken} are signed."
        text = (
            f"    {name}: SecretStr | None = Field(\n"
            f'        None, min_length=16, description="{about}"\n    )'
        )
        return Field(group, name, text, ("Field", "SecretStr"))
    if part.kind == "setting":
        kind = f"{part.type} | None" if part.default == "None" else part.type
        inner = f'{part.default}, description="{part.spoken.capitalize()}."'
        line = f"    {part.name}: {kind} = Field({inner})"
        if len(line) > WIDTH:
            line = f"    {part.name}: {kind} = Field(\n        {inner}\n    )"
        return Field(group, part.name, line, ("Field",))
    return None


def group_in(source: Source, application: str) -> Group | None:
    """The first group of settings that the application lists."""
    tree = _tree(source, application)
    for call in _calls(tree, "Application"):
        for each in call.keywords:
            if each.arg == "settings" and isinstance(each.value, ast.Tuple | ast.List):
                names = [node.id for node in each.value.elts if isinstance(node, ast.Name)]
                if names and (home := _home(tree, names[0])):
                    return Group(names[0], home, _prefix(source, home, names[0]))
    return None


def new_group(source: Source) -> tuple[Group, str]:
    """The group of settings of a project that has none yet, and the text of its module."""
    name, prefix = group_of(source.package), f"{source.package.upper()}_"
    title = source.package.replace("_", " ").capitalize()
    text = (
        f'"""The settings of {title}."""\n\nfrom backstay import SettingsGroup\n\n\n'
        f'class {name}(SettingsGroup, title="{title}"):\n'
        f'    """What can be set: each field is a variable that begins with `{prefix}`."""\n\n'
        f'    env_prefix = "{prefix}"\n'
    )
    return Group(name, f"{source.package}.settings", prefix), text


def put(text: str, each: Element, source: Source) -> str:
    """A module with the element, and with what it imports; as it is if it has them.

    Raises:
        PlaceNotFound: there is no such call in it, or its argument is no tuple.
    """
    if insertion.imports(text, each.home, each.name):
        return text
    call = _call(text, each.keyword)
    text = insertion.with_element(text, call, each.keyword, each.element)
    return _imported(text, [(each.home, each.name), ("backstay", each.also)], source)


def put_role(text: str, variable: str, each: Element, source: Source) -> str:
    """The module of the roles with one more; see `put`."""
    if insertion.imports(text, each.home, each.name):
        return text
    text = insertion.with_item(text, _assigned(text, variable), each.element)
    return _imported(text, [(each.home, each.name)], source)


def _imported(text: str, pairs: list[tuple[str, str]], source: Source) -> str:
    for home, name in pairs:
        if name:
            text = insertion.with_import(text, home, name, source.package)
    return text


def take(text: str, each: Element, variable: str = "") -> str:
    """A module without the element, or as it is if it has none.

    Raises:
        PlaceNotFound: it is imported, but cannot be taken out.
    """
    if not insertion.imports(text, each.home, each.name):
        return text
    if variable:
        text = insertion.without_item(text, _assigned(text, variable), each.name)
    else:
        call = _call(text, each.keyword)
        text = insertion.without_element(text, call, each.keyword, each.name)
    text = insertion.without_import(text, each.home, each.name)
    return insertion.without_import(text, "backstay", each.also) if each.also else text


def put_field(text: str, field: Field, source: Source) -> str:
    """The module of a group of settings with the field; see `put`."""
    if has_field(text, field):
        return text
    text = insertion.with_field(text, _class(text, field.group.name), field.lines)
    return _imported(text, [("pydantic", name) for name in field.names], source)


def has_field(text: str, field: Field) -> bool:
    """Whether the group of settings has a field of this name."""
    nodes = _class(text, field.group.name).body
    named = (node for node in nodes if isinstance(node, ast.AnnAssign))
    return any(ast.unparse(node.target) == field.name for node in named)


def take_field(text: str, field: Field) -> str:
    """The module of a group of settings without the field.

    Raises:
        PlaceNotFound: the field has lines of a person.
    """
    if not has_field(text, field):
        return text
    if field.lines not in text:
        raise PlaceNotFound
    text = insertion.without_field(text, _class(text, field.group.name), field.name)
    for name in field.names:
        text = insertion.without_import(text, "pydantic", name)
    return text


def roles_in(source: Source, application: str) -> tuple[str, str] | None:
    """The module and the variable of the roles, if the application takes them from elsewhere."""
    tree = _tree(source, application)
    for call in _calls(tree, "Application"):
        for each in call.keywords:
            if each.arg == "roles" and isinstance(each.value, ast.Name):
                return _home(tree, each.value.id) or application, each.value.id
    return None


def _tree(source: Source, module: str) -> ast.Module:
    path = source.path_of(module)
    if path is None:
        raise BlueprintError(f"There is no src/{module.replace('.', '/')}.py with the application.")
    return source.tree(path)


def _calls(tree: ast.Module, name: str) -> list[ast.Call]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [node for node in found if isinstance(node.func, ast.Name) and node.func.id == name]


def _call(text: str, keyword: str) -> ast.Call:
    calls = _calls(ast.parse(text), "Feature" if keyword == "schedule" else "Application")
    if len(calls) != 1:
        raise PlaceNotFound
    return calls[0]


def _class(text: str, name: str) -> ast.ClassDef:
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
    raise PlaceNotFound


def _assigned(text: str, variable: str) -> ast.expr:
    for node in ast.parse(text).body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        else:
            continue
        if [ast.unparse(each) for each in targets] == [variable] and node.value is not None:
            return node.value
    raise PlaceNotFound


def _home(tree: ast.Module, name: str) -> str | None:
    for node in tree.body:
        names = node.names if isinstance(node, ast.ImportFrom) and not node.level else []
        if any(alias.name == name and alias.asname is None for alias in names):
            return getattr(node, "module", None)
    return None


def _prefix(source: Source, module: str, name: str) -> str:
    path = source.path_of(module)
    for node in source.tree(path).body if path else ():
        if isinstance(node, ast.ClassDef) and node.name == name:
            for each in node.body:
                if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "env_prefix":
                    return str(ast.literal_eval(each.value))
    return f"{source.package.upper()}_"
