"""Writes what follows from the list of public names: ``python -m tests.architecture.face``.

These are the stub that type checkers read, the page of the documentation, and the description that
the next release is compared by. A release is described once, in a file that stays as it is.
"""

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from inspect import isclass, isfunction
from itertools import pairwise
from pathlib import Path
from typing import Any

import backstay
from backstay.blueprints import changelog
from backstay.core.errors import AppError
from tests.architecture import api
from tests.architecture.tree import ROOT

STUB = ROOT / "src" / "backstay" / "__init__.pyi"
PAGE = ROOT / "docs" / "api.md"
PLACES: dict[str, tuple[str, ...]] = vars(backstay)["_PLACES"]
"""By internal module: its public names."""
FROM: dict[str, str] = vars(backstay)["_FROM"]
"""By public name: the internal module that has it."""
_GROUPS = {
    "The application": ("backstay.application", "backstay.composition", "backstay.features",
                        "backstay.core.feature", "backstay.settings", "backstay.limits.classes",
                        "backstay.web.routes", "backstay.core.rates", "backstay.core.console",
                        "backstay.web.callers", "backstay.web.pages"),
    "Messages and handlers": ("backstay.core.bus", "backstay.core.messages",
                              "backstay.core.permissions", "backstay.core.principal",
                              "backstay.core.listing", "backstay.core.context",
                              "backstay.core.caching", "backstay.core.representation",
                              "backstay.core.targets", "backstay.core.uploads",
                              "backstay.core.streams"),
    "The database": ("backstay.db.base", "backstay.db.fixed_point",
                     "backstay.db.session", "backstay.db.queries",
                     "backstay.db.listing", "backstay.db.paging", "backstay.db.folding",
                     "backstay.db.resource", "backstay.db.streaming",
                     "backstay.db.maintenance"),
    "Jobs and events": ("backstay.core.events", "backstay.core.jobs", "backstay.core.schedule",
                        "backstay.jobs.outbox", "backstay.jobs.purging"),
    "What the packaged features offer": ("backstay.features.mail.commands.sending",
                                         "backstay.features.users.events",
                                         "backstay.features.users.queries.accounts",
                                         "backstay.features.users.queries.directory",
                                         "backstay.features.users.schemas"),
    "Errors": ("backstay.core.errors",),
    "Ports and services": ("backstay.core.ports", "backstay.core.mail", "backstay.core.clock",
                           "backstay.core.backups", "backstay.security.guesses"),
}  # fmt: skip
"""By heading of the page: the modules whose names stand under it."""


def stub() -> str:
    """The stub of the package: each public name, from where it is defined."""
    lines = ['"""The public names; written by `make face`."""', ""]
    for module, names in sorted(PLACES.items()):
        for name in sorted(
            names, key=lambda name: (not name.isupper(), name[0].islower(), name.lower())
        ):
            lines.append(f"from {module} import {name} as {name}")
    return "\n".join([*lines, "", "__all__: list[str]", "__version__: str", ""])


def page() -> str:
    """The page that lists every public name with its first sentence."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield "# The public names"
    yield ""
    yield "A project imports these from `backstay`. The modules below it are internal: they change"
    yield "without notice. The docstrings say more. `make face` writes this page."
    for heading, modules in _GROUPS.items():
        yield from ("", f"## {heading}", "", "| Name | What it is |", "| --- | --- |")
        for name in sorted(name for module in modules for name in PLACES.get(module, ())):
            yield f"| `{name}` | {_sentence(name).replace('|', chr(92) + '|')} |"
    yield ""


def _sentence(name: str) -> str:
    """The first sentence about a name: of its docstring, or of the one that follows its value."""
    value: Any = getattr(backstay, name)
    if isclass(value) and issubclass(value, AppError) and value is not AppError:
        return f"{value.status}: {value.title[0].lower()}{value.title[1:]}."
    is_documented = isclass(value) or isfunction(value)
    text = inspect.getdoc(value) or "" if is_documented else _constant(name)
    first = " ".join(text.split("\n\n")[0].split())
    return first.partition(". ")[0].rstrip(".").replace("``", "`") + "."


def _constant(name: str) -> str:
    """The docstring under an assignment to this name."""
    body = ast.parse(inspect.getsource(import_module(FROM[name]))).body
    for node, after in pairwise(body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        named = any(isinstance(each, ast.Name) and each.id == name for each in targets)
        if named and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            return str(after.value.value)
    return ""


def main(root: Path = ROOT) -> None:
    """Write the stub, the page, the description and, of a release that has none, its own."""
    (root / STUB.relative_to(ROOT)).write_text(stub(), "utf-8")
    (root / PAGE.relative_to(ROOT)).write_text(page(), "utf-8")
    folder = root / api.FOLDER.relative_to(ROOT)
    description = api.written(api.current())
    (folder / f"{api.COMING}.json").write_text(description, "utf-8")
    released = changelog.sections(changelog.FILE.read_text("utf-8"))
    own = folder / f"{backstay.__version__}.json"
    if backstay.__version__ in released and not own.exists():
        own.write_text(description, "utf-8")


if __name__ == "__main__":
    main()
