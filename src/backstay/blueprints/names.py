"""Which names a project may have."""

import keyword
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from types import new_class

from backstay.blueprints.errors import BlueprintError
from backstay.core.wiring import BootError
from backstay.settings import SettingsGroup
from backstay.settings.schema import Schema

_LONGEST = 27
_FORM = re.compile(r"[a-z][a-z0-9_]*")
_OF_BACKSTAY = ("backstay", "platform")
_OF_THE_PROJECT = ("src", "tests")


def check_project_name(name: str) -> None:
    """Refuse a name that a project cannot have.

    Raises:
        BlueprintError: it says why, and what to write instead.
    """
    if wrong := next(_faults(name), None):
        raise BlueprintError(f"A project cannot be called {name!r}: {wrong}", usage=True)


def _faults(name: str) -> Iterator[str]:
    if not _FORM.fullmatch(name):
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        written = re.sub(r"[^a-z0-9]+", "_", words).strip("_0123456789")
        example = "shop" if not written or any(_faults(written)) else written
        yield f"it is the name of no Python package. Write {example}, for example."
        return
    if len(name) > _LONGEST:
        yield f"it has {len(name)} characters, and {_LONGEST} are the most."
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        yield "it is a word of the language Python."
    if name in _OF_BACKSTAY:
        yield "Backstay itself uses that name."
    if name in sys.stdlib_module_names:
        yield "it is a module of Python, which the project would hide."
    if name in _OF_THE_PROJECT:
        yield "it is the name of a folder in the project."
    if place := _installed(name):
        yield f"a package of that name is installed: {place}. Two cannot be imported."
    if _is_prefix_taken(f"{name.upper()}_"):
        yield f"its settings would begin with {name.upper()}_, as settings of Backstay do."


def _installed(name: str) -> str | None:
    """Where there is a module of this name; a folder without code is none."""
    try:
        found = find_spec(name)
    except ValueError:  # a module without a specification, such as __main__
        return None
    return found.origin if found else None


def _is_prefix_taken(prefix: str) -> bool:
    group = new_class("Own", (SettingsGroup,), {}, lambda body: body.update(env_prefix=prefix))
    try:
        Schema.of((group,))
    except BootError:
        return True
    return False
