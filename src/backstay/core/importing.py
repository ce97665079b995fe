"""Imports the modules of a project; what they raise is told with its place, like other mistakes."""

import re
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from pathlib import Path
from sysconfig import get_path
from traceback import walk_tb
from types import ModuleType
from typing import Any

from backstay.core.wiring import BootError, Code, Flaw, Place

_FACE = __name__.partition(".")[0]
_OTHERS = (str(Path(__file__).parents[1]), get_path("stdlib"), "<")
"""What the paths of files begin with that are no project's."""
_KEYWORD = re.compile(r"(?:\w+\.)*?(\w+)(?:\.\w+)?\(\) got an unexpected keyword argument '(\w+)'")
_UNKNOWN = re.compile(rf"cannot import name '(\w+)' from '{_FACE}'")
_HINT = "Mend it there; APP_DEBUG=true shows the traceback."


def import_of_project(name: str, expected: tuple[type[Exception], ...] = ()) -> ModuleType:
    """The module of a project.

    Raises:
        BootError: the module, or one that it imports, raises an error other than those ``expected``
            and BootError itself; the error is its cause.
        ModuleNotFoundError: the module itself, or a package above it, is not there.
    """
    try:
        return import_module(name)
    except Exception as error:
        if isinstance(error, (BootError, *expected)) or _is_absent(name, error):
            raise
        raise BootError([_flaw(error, name)]) from error


def _is_absent(module: str, error: Exception) -> bool:
    """Whether there is no such module, or no package above it."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return False
    return f"{module}.".startswith(f"{error.name}.")


def _flaw(error: Exception, module: str) -> Flaw:
    kind, text = type(error).__name__, " ".join(str(error).split()).rstrip(".")
    text = text.removesuffix(f" ({sys.modules[_FACE].__file__})")
    problem = f"{kind}: {text}." if text else f"{kind} is raised."
    if isinstance(error, SyntaxError) and error.filename:
        where = Place(error.filename, error.lineno or 1)
        problem = f"{kind}: {error.msg}."
    else:
        where = next(_places(error), Place(f"<{module}>", 1))
    return Flaw(Code.APPLICATION_IMPORT, problem, _near(error) + _HINT, str(where))


def _places(error: Exception) -> Iterator[Place]:
    """The lines of the project through which an error came, the innermost first."""
    passed = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    for file, line in reversed(passed):
        if not file.startswith(_OTHERS) and "site-packages" not in Path(file).parts:
            yield Place(file, line)


def _near(error: Exception) -> str:
    """What was meant: a name of the public face, or a keyword of one of its classes."""
    public = sys.modules[_FACE].__all__
    if isinstance(error, NameError) and error.name in public:
        return f"Write `from {_FACE} import {error.name}`. "
    if isinstance(error, ImportError) and (unknown := _UNKNOWN.search(str(error))):
        names = get_close_matches(unknown[1], public, n=1)
        return f"Did you mean `{names[0]}`? " if names else ""
    return _keyword(error)


def _keyword(error: Exception) -> str:
    """The keyword that was meant, where a class or function of the public face has another one."""
    found = _KEYWORD.search(str(error)) if isinstance(error, TypeError) else None
    taker: Any = _public(found[1]) if found else None
    if found is None or taker is None:
        return ""
    known = [name for name in signature(taker).parameters if name not in {"_", "self", "place"}]
    near = get_close_matches(found[2], known, n=1)
    return f"Write `{near[0]}=`. " if near else f"It takes {', '.join(known)}. "


def _public(name: str) -> Any:
    face = sys.modules[_FACE]
    found = getattr(face, name) if name in face.__all__ else None
    return found if callable(found) else None
