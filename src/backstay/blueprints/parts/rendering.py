"""Renders the module and the test of a part: a pure function of its description."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from backstay.blueprints.entities.vocabulary import SOURCES
from backstay.blueprints.layout import chained, module
from backstay.blueprints.parts.description import IN_SNAKE, Part

_BY_MODULE = {
    "": "hmac pytest",
    "dataclasses": "replace",
    "datetime": "date datetime",
    "decimal": "Decimal",
    "logging": "getLogger",
    "pathlib": "Path",
    "typing": "Annotated ClassVar",
    "uuid": "UUID uuid4",
    "fastapi": "APIRouter Header Request",
    "httpx": "AsyncClient",
    "pydantic": "BaseModel ValidationError",
    "sqlalchemy": "func literal select",
    "backstay": "PUBLIC SYSTEM_ONLY Application Backstay BadRequest Cached Clock Command "
    "CurrentPrincipal Event Events Feature Grant Jobs PermissionSpec Principal Query Reader "
    "RoleSpec Routes Scope SendAsAnyone Settings Stream Unauthenticated Unavailable Upload View "
    "columns_of handles stream_rows subscribes visible",
    "backstay.testing": "Add FrozenClock Login Work",
}
_SOURCES = {name: place for place, names in _BY_MODULE.items() for name in names.split()}
_TESTED = {
    "job": "A worker carries it out, and tries again.",
    "event": "What is published is consumed.",
    "schedule": "The clock starts it.",
    "report": "A report is kept until a command outdates it.",
    "upload": "Files are kept; others are refused.",
    "stream": "A stream is for whoever owns the rows.",
    "webhook": "Only what is signed, and lately, is taken.",
    "router": "The router knows its caller.",
    "setting": "The setting is read, and has a default.",
    "role": "The role is declared, and has its grants.",
}


def group_of(package: str) -> str:
    """What `new` calls the settings of a project."""
    return f"{package.title().replace('_', '')}Settings"


def module_of(part: Part, package: str) -> str:
    """The module of a part."""
    return f"{package}.features.{part.feature}.parts.{part.one}"


def test_of(part: Part) -> str:
    """The path of the test of a part."""
    return f"tests/test_{part.feature}_{part.one}.py"


def render(part: Part, package: str) -> dict[str, str]:
    """The files of a part, by their paths in the project."""
    values = _values(part, package)
    here = module_of(part, package)
    sources = {**SOURCES, **_SOURCES, **_foreign(part, package)}
    files = {}
    if part.kind != "setting":
        body = _template(f"{part.kind}.py").render(values)
        text = module(f"{values['title']}.", body, sources, package)
        files[f"src/{here.replace('.', '/')}.py"] = text
    names = (part.cls, f"Answer{part.cls}", f"Get{part.cls}")
    if part.kind not in IN_SNAKE:
        sources |= dict.fromkeys(names, here) | {part.one: here.rpartition(".")[0]}
    body = _template(f"{part.kind}.tests").render(values)
    files[test_of(part)] = module(_TESTED[part.kind], body, sources, package)
    return files


def _foreign(part: Part, package: str) -> dict[str, str]:
    """The module of each name of the project that the part uses."""
    found = part.found
    names = {"model": f"{package}.features.{part.feature}.model"}
    names |= {
        "group": str(found.get("group_module")),
        "resource": str(found.get("resource_module")),
    }
    return {str(found[key]): place for key, place in names.items() if found.get(key)}


def _values(part: Part, package: str) -> dict[str, Any]:
    found: Mapping[str, Any] = {"soft_delete": False, "columns": [], **part.found}
    is_living = found["soft_delete"] and part.kind == "report"
    living = f".where({found.get('model')}.deleted_at.is_(None))" if is_living else ""
    return {
        **found,
        "cls": part.cls,
        "one": part.one,
        "kebab": part.one.replace("_", "-"),
        "spoken": part.spoken,
        "title": part.spoken.capitalize(),
        "feature": part.feature,
        "living": living or (found["soft_delete"] and part.kind == "stream"),
        "default": part.default,
        "singletons": ("None", "True", "False"),
        **_given(part),
    }


def _given(part: Part) -> dict[str, str]:
    """A value of a setting that is not its default: as a variable, and as Python."""
    values = {"str": ("another", '"another"'), "int": ("7", "7"), "float": ("7.5", "7.5")}
    given, read = values.get(part.type, ("true", "True"))
    if part.default == read:
        given, read = {"7": ("8", "8"), "7.5": ("8.5", "8.5")}.get(read, ("false", "False"))
    return {"given": given, "read": read}


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    made = Environment(
        loader=PackageLoader("backstay.blueprints.parts"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - it renders Python
    )
    made.globals["chained"] = lambda caller: chained(caller())
    return made


def _template(name: str) -> Any:
    return _environment().get_template(f"{name}.jinja")
