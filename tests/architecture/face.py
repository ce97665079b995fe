"""Writes what follows from the list of public names: ``python -m tests.architecture.face``.

These are the stub that type checkers read, and the page of the documentation.
"""

import inspect
from collections.abc import Iterator
from inspect import isclass, isfunction
from pathlib import Path
from typing import Any

import backstay
from backstay import AppError
from tests.architecture.tree import ROOT

STUB = ROOT / "src" / "backstay" / "__init__.pyi"
PAGE = ROOT / "docs" / "api.md"
_GROUPS = {
    "The application": ("backstay.application", "backstay.composition", "backstay.features",
                        "backstay.core.feature", "backstay.settings", "backstay.limits.classes",
                        "backstay.web.routes", "backstay.core.rates"),
    "Messages and handlers": ("backstay.core.bus", "backstay.core.messages",
                              "backstay.core.permissions", "backstay.core.principal",
                              "backstay.core.listing", "backstay.core.context",
                              "backstay.core.caching", "backstay.core.representation"),
    "The database": ("backstay.db.base", "backstay.db.session", "backstay.db.queries",
                     "backstay.db.listing", "backstay.db.paging", "backstay.db.folding"),
    "Jobs and events": ("backstay.core.events", "backstay.core.jobs", "backstay.core.schedule",
                        "backstay.jobs.outbox", "backstay.jobs.purging"),
    "Errors": ("backstay.core.errors",),
    "Ports and services": ("backstay.core.ports", "backstay.core.mail", "backstay.core.clock"),
}  # fmt: skip
"""By heading of the page: the modules whose names stand under it."""


def places() -> dict[str, tuple[str, ...]]:
    """By internal module: its public names."""
    return dict(backstay._PLACES)


def stub() -> str:
    """The stub of the package: each public name, from where it is defined."""
    lines = ['"""The public names; written by `make face`."""', ""]
    for module, names in sorted(places().items()):
        lines += [f"from {module} import {name} as {name}" for name in sorted(names)]
    return "\n".join([*lines, "", "__version__: str", ""])


def page() -> str:
    """The page that lists every public name with its first sentence."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield "# The public names"
    yield ""
    yield "A project imports these from `backstay`, and nothing from the modules below it, which are internal and change"
    yield "without notice. Their docstrings say more. `make face` writes this page."
    for heading, modules in _GROUPS.items():
        yield from ("", f"## {heading}", "", "| Name | What it is |", "| --- | --- |")
        for name in sorted(name for module in modules for name in places().get(module, ())):
            yield f"| `{name}` | {_sentence(name).replace('|', chr(92) + '|')} |"
    yield ""


def _sentence(name: str) -> str:
    """The first sentence about a name: of its docstring, or of the one that follows its value."""
    value: Any = getattr(backstay, name)
    if isclass(value) and issubclass(value, AppError) and value is not AppError:
        return f"{value.status}: {value.title[0].lower()}{value.title[1:]}."
    if isclass(value) or isfunction(value):
        text = inspect.getdoc(value) or ""
    else:
        text = _constant(name)
    first = " ".join(text.split("\n\n")[0].split())
    return first.partition(". ")[0].rstrip(".").replace("``", "`") + "."


def _constant(name: str) -> str:
    """The docstring under an assignment to this name."""
    module = inspect.getsource(__import__(backstay._FROM[name], fromlist=[name]))
    for line, after in zip(module.split("\n"), module.split("\n")[1:], strict=False):
        if line.startswith((f"{name} =", f"{name}:")) and after.startswith('"""'):
            rest = module.split(line, 1)[1].strip()[3:]
            return rest.partition('"""')[0]
    return ""


def main(root: Path = ROOT) -> None:
    """Write both files."""
    (root / STUB.relative_to(ROOT)).write_text(stub(), "utf-8")
    (root / PAGE.relative_to(ROOT)).write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
