"""Finds the packaged features of which a project holds a copy of its own: its ejected ones.

They lie in the folder ``ejected`` of the project's package, below the same names as in Backstay:
``src/shop/ejected/backstay/features/users``. Python loads them under the names of the packaged ones
(docs/decisions/0034).
"""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from backstay.settings.errors import ConfigurationError
from backstay.settings.project import find_project

FOLDER = "ejected"
"""In the package of a project."""
FEATURES = "backstay/features"
"""Below it; its folders stand in place of the packaged features of the same names."""


def ejected_folders() -> list[str]:
    """The folders with ejected features, of every project that is loaded or named here.

    A project is named by `BACKSTAY_APP`, or by `[tool.backstay]`. That file is read here, but a
    fault of it is told by whoever reads it next.
    """
    packages = dict.fromkeys((*_named(), *_loaded()))
    folders = (os.path.join(package, FOLDER, FEATURES) for package in packages)  # noqa: PTH118
    return [folder for folder in folders if os.path.isdir(folder)]  # noqa: PTH112


def passed_over() -> Iterator[Path]:
    """The copies of all of Backstay, of these projects, in place of which another one is loaded."""
    loaded = Path(__file__).resolve().parents[1]
    for folder in {Path(package).resolve().parent for package in (*_named(), *_loaded())}:
        switch = folder / loaded.name / "settings" / "project.py"
        if folder == loaded.parent or not switch.is_file():
            continue
        if "OWN_COPY: bool = True" in switch.read_text("utf-8"):
            yield switch.parents[1]


def _loaded() -> Iterator[str]:
    """The folders of all packages that are imported or being imported, without those in them."""
    for name in {name for name in list(sys.modules) if "." not in name} - sys.stdlib_module_names:
        module = sys.modules.get(name)
        if isinstance(module, ModuleType):
            yield from vars(module).get("__path__") or ()


def _named() -> Iterator[str]:
    with suppress(ConfigurationError, OSError):
        project = find_project(Path.cwd())
        app = os.environ.get("BACKSTAY_APP", "").strip() or (project.app if project else "")
        package = app.partition(":")[0].partition(".")[0]
        if not package.isidentifier():
            return
        with suppress(ValueError):  # a module without a specification, such as __main__
            if found := find_spec(package):
                yield from found.submodule_search_locations or ()
                return
        if project:  # it is not installed
            yield from (str(project.root / "src" / package), str(project.root / package))
