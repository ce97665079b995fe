"""Renders the feature of an entity: a pure function of its description."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from backstay.blueprints.entities.columns import Shown, ShownChild, child_of, shown
from backstay.blueprints.entities.declared import declared
from backstay.blueprints.entities.description import Entity, Kind, Known
from backstay.blueprints.entities.scenarios import scenario
from backstay.blueprints.entities.vocabulary import SOURCES, SOURCES_OF_TESTS
from backstay.blueprints.layout import chained, module
from backstay.blueprints.words import article, camel, listed

_LIGHT = {Kind.TEXT, Kind.JSON}
"""What lists do not show."""
_LONGEST = 94
"""Characters of a sentence in the first line of a module."""
_SORTED = {Kind.STR, Kind.INT, Kind.FLOAT, Kind.DATETIME, Kind.DATE, Kind.DECIMAL, Kind.MONEY}
_SEARCHED = {Kind.STR, Kind.TEXT}


def render(entity: Entity, known: Mapping[str, Known], project: str) -> dict[str, str]:
    """The files of a feature, by their paths in the project.

    Args:
        entity: what is generated; nothing may be wrong with it.
        known: the entities that it refers to, by name.
        project: the package of the project.
    """
    values = _values(entity, known)
    folder, package = f"src/{project}/features/{entity.plural}", f"{project}.features"
    names = _own_names(entity, values, f"{package}.{entity.plural}")
    files = {}
    for name, about in _about(entity).items():
        sources = {**SOURCES, **_foreign(values["refs"]), **names}
        if name == "queries":
            sources["Text"] = "backstay"
        here = f"{package}.{entity.plural}.{name}"
        sources = {each: source for each, source in sources.items() if source != here}
        body = template(name).render(values)
        files[f"{folder}/{name}.py"] = module(about, body, sources, project)
    body = template("init").render(values)
    text = module(_sentence(entity), body, {**SOURCES, **names}, project)
    files[f"{folder}/__init__.py"] = text
    tests = template("tests").render(values | scenario(entity, known))
    files[f"tests/test_{entity.plural}.py"] = module(
        _tested(entity), tests, SOURCES_OF_TESTS, project
    )
    return dict(sorted(files.items()))


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    made = Environment(
        loader=PackageLoader("backstay.blueprints.entities"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - it renders Python
    )
    made.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    made.globals["chained"] = lambda caller: chained(caller())
    return made


def template(name: str) -> Any:
    """The template of a module of a feature."""
    return _environment().get_template(f"{name}.py.jinja")


def _sentence(entity: Entity) -> str:
    kinds = [
        *(["owned"] if entity.owned else []),
        *(["softly deleted"] if entity.soft_delete else []),
    ]
    start = entity.spoken_plural.capitalize()
    return f"{start}: {' and '.join(kinds)}." if kinds else f"{start}."


def _tested(entity: Entity) -> str:
    start = entity.spoken_plural.capitalize()
    return f"{start} belong to whoever creates them." if entity.owned else f"{start} work."


def _about(entity: Entity) -> dict[str, str]:
    """The docstring of each module."""
    many = entity.spoken_plural
    verbs = ["create", "change", *(each.verb for each in entity.transitions), "delete"]
    verbs += ["restore"] if entity.soft_delete else []
    done = f"Commands that {listed(verb.replace('_', ' ') for verb in verbs)} {many}."
    views = f"The views of {many}{'' if entity.children else ','}"
    return {
        "model": f"The tables of {many} and of what belongs to them."
        if entity.children
        else f"The table of {many}.",
        "schemas": f"{views} and the rules of fields."
        if entity.children
        else f"{views} the rules of fields, and the resource.",
        "commands": done if len(done) <= _LONGEST else f"Commands that change {many}.",
        "queries": f"Queries about {many}{', and their resource' if entity.children else ''}.",
        "routes": f"The routes of {many}.",
    }


def _values(entity: Entity, known: Mapping[str, Known]) -> dict[str, Any]:
    fields = [shown(field, entity, known) for field in entity.fields]
    written = [each for each in fields if each.field in entity.written]
    children = [child_of(child, entity, known) for child in entity.children]
    every = [*fields, *(each for child in children for each in child.fields)]
    heavy = [each for each in fields if each.kind in _LIGHT]
    searched = [each.name for each in fields if each.kind in _SEARCHED]
    is_partial = entity.soft_delete
    return {
        "e": entity,
        "a_one": article(entity.spoken),
        "key": "int" if entity.integer_key else "UUID",
        "fields": fields,
        "written": written,
        "children": children,
        "children_pairs": ", ".join(f'"{child.name}": {child.name}' for child in children),
        "exported_children": [f'"{each.name}": {each.name}[row.id]' for each in children],
        "enums": [each for each in every if each.kind is Kind.ENUM],
        "decimals": [each for each in every if each.kind is Kind.DECIMAL],
        "refs": [each for each in fields if each.kind is Kind.REF],
        "uniques": [each for each in fields if each.field.unique and is_partial],
        "aliases": _aliases([*written, *(each for child in children for each in child.fields)]),
        "light": [each for each in fields if each not in heavy],
        "heavy": heavy,
        "filters": [each for each in fields if each.filter],
        "sortable": _texts(["created_at", "updated_at", *_sorted(fields)]),
        "searchable": _texts(searched),
        "status": shown(entity.status, entity, known) if entity.status else None,
        "about": _routes_about(entity),
        **_derived(entity, written, children),
    }


def _derived(entity: Entity, written: list[Shown], children: list[ShownChild]) -> dict[str, Any]:
    plural = entity.plural
    row_view = f"{entity.name}{'Head' if children else 'Detail'}"
    is_export = entity.owned and entity.soft_delete
    export_view = f"{entity.name}{'Export' if is_export else 'Detail'}"
    tags = [plural, f"{plural}:{{id}}", *([f"{plural}:of:{{owner_id}}"] if entity.owned else [])]
    touched = [plural, *([f"{plural}:of:{{principal}}"] if entity.owned else [])]
    needed = sorted({ref.known.feature for ref in written if ref.known} - {plural})
    return {
        "row_view": row_view,
        "export_view": export_view,
        "export_row": row_view if children else export_view,
        "resource_tags": _texts(tags),
        "touches": _texts(touched),
        "requires": f"requires=({_texts(needed)}), " if needed else "",
        "new_row": _new_row(entity, children),
        "moves": _moves(entity),
        "transitions": [
            {
                "verb": each.verb,
                "cls": f"{camel(each.verb)}{entity.name}",
                "end": each.end,
                "about": f"{camel(each.verb)} {article(entity.spoken)}.",
            }
            for each in entity.transitions
        ],
    }


def _new_row(entity: Entity, children: list[ShownChild]) -> str:
    left_out = ", ".join(f'"{child.name}"' for child in children)
    parts = [
        f"**command.model_dump(exclude={{{left_out}}})" if children else "**command.model_dump()"
    ]
    parts += [
        f"{child.name}=[{child.cls}(**{child.row}.model_dump()) "
        f"for {child.row} in command.{child.name}]"
        for child in children
    ]
    return ", ".join([*parts, *(["owner_id=principal.id"] if entity.owned else [])])


def _moves(entity: Entity) -> list[tuple[str, str]]:
    """By status, the set of those that may follow, as Python."""
    if entity.status is None:
        return []
    python = f"{entity.name}{camel(entity.status.name)}"
    found = []
    for member in entity.status.members:
        ends = dict.fromkeys(each.end for each in entity.transitions if member in each.start)
        text = ", ".join(f"{python}.{end.upper()}" for end in ends)
        found.append((member, f"{{{text}}}" if ends else f"set[{python}]()"))
    return found


def _routes_about(entity: Entity) -> str:
    start = entity.spoken_plural.capitalize()
    return f"{start}, each of which belongs to a user." if entity.owned else f"{start}."


def _sorted(fields: list[Shown]) -> list[str]:
    return [each.name for each in fields if each.kind in _SORTED]


def _texts(names: list[str]) -> str:
    """The inside of a tuple of texts."""
    return ", ".join(f'"{name}"' for name in names) + ("," if len(names) == 1 else "")


def _aliases(fields: list[Shown]) -> list[dict[str, str]]:
    seen = {each.alias: each.alias_type for each in fields if each.alias}
    return [{"name": name, "type": kind} for name, kind in seen.items()]


def _foreign(refs: list[Shown]) -> dict[str, str]:
    return {ref.known.message: ref.known.module for ref in refs if ref.known}


def _own_names(entity: Entity, values: dict[str, Any], package: str) -> dict[str, str]:
    """The module of each name that the feature declares."""
    children: list[ShownChild] = values["children"]
    names = declared(entity)
    names["schemas"] += [child.alias for child in children]
    names["schemas"] += [alias["name"] for alias in values["aliases"]]
    names["queries" if children else "schemas"].append(entity.constant)
    return {name: f"{package}.{home}" for home, each in names.items() for name in each}
