"""Follows guides: writes their blocks to the files that are named above them, and runs commands."""

import ast
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from backstay.application import Application
from backstay.core.feature import Feature
from backstay.testing.waiting import LIMIT
from tests import warm
from tests.architecture.tree import ROOT

_BLOCK = re.compile(r"(?:^`([\w./-]+)`\n\n)?^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_APPLICATION = """
from backstay import STANDARD, Application, features_of

application = Application("shop", features=(*STANDARD, *features_of("shop.features")))
"""


def page(name: str) -> str:
    """The text of a guide."""
    return (ROOT / "docs" / "guides" / f"{name}.md").read_text("utf-8")


def files_of(guide: str) -> dict[str, str]:
    """The files that a guide shows, by name; a block of Python without a name continues its file.

    Steps, and blocks of another language without a name, are in no file.
    """
    files: dict[str, str] = {}
    latest = ""
    for name, language, content in _BLOCK.findall(guide):
        if name:
            latest = name
            files[name] = content
        elif language == "python" and not _is_steps(content):
            files[latest] += f"\n\n{content}"
    return files


def steps_of(guide: str) -> str:
    """What a guide does with clients: its blocks of Python that wait outside of a function."""
    blocks = (content for _, language, content in _BLOCK.findall(guide) if language == "python")
    return "\n".join(filter(_is_steps, blocks))


def _is_steps(block: str) -> bool:
    try:
        compile(block, "block", "exec")
    except SyntaxError:
        compile(block, "block", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return True
    return False


async def follow_steps(guide: str, **names: Any) -> dict[str, Any]:
    """Do what the steps of a guide say with these names; all names that there are then."""
    await eval(compile(steps_of(guide), "steps", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    return names


def write(folder: Path, guide: str) -> dict[str, str]:
    """Write the files of a guide below a folder, and return them by name."""
    files = files_of(guide)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return files


def follow(folder: Path, *guides: str) -> None:
    """Write the files of guides; one of a later guide replaces that of an earlier one."""
    for guide in guides:
        write(folder, page(guide))


def run(folder: Path, *arguments: str, check: bool = True, **variables: str) -> str:
    """What a module prints that Python runs in a folder, with nothing else in the environment.

    It must succeed, unless ``check`` is False.
    """
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT / "src"),
        "COLUMNS": "200",
        **variables,
    }
    done = warm.run(arguments, folder, environ, seconds=10 * LIMIT)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def followed(guide: str, folder: Path) -> Iterator[Application]:
    """The application of a project, in this process, with the features of a guide; no tables."""
    write(folder, guide)
    (folder / "src" / "shop" / "application.py").write_text(_APPLICATION)
    sys.path.insert(0, str(folder / "src"))
    try:
        yield import_module("shop.application").application
    finally:
        sys.path.remove(str(folder / "src"))
        for name in [each for each in sys.modules if each.partition(".")[0] == "shop"]:
            del sys.modules[name]


def message_of(application: Application, name: str) -> Any:
    """The message of that name."""
    features: tuple[Feature, ...] = tuple(application.features or ())
    return next(
        message
        for feature in features
        for message in feature.messages()
        if message.__name__ == name
    )
