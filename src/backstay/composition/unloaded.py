"""Finds modules in the folders of features that nothing imports, such as `routers` for `routes`."""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from pkgutil import iter_modules

from backstay.composition.ownership import OF_TESTS
from backstay.core.feature import NAMES, Feature
from backstay.core.wiring import Code, Flaw, Place

_DECLARES = re.compile(
    r"^@(?:\w+\.)*(?:handles|prepares|subscribes)\("
    r"|^\w+(?:: \w+)? = (?:\w+\.)*(?:Routes|Listing)\("
    r"|^class \w+\((?:.*\W)?Entity\b",
    re.MULTILINE,
)
"""What such a module declares. Its text is searched: to import it might do something."""
_MANIFEST = "Feature("


def packageless_faults(features: Sequence[Feature]) -> Iterator[Flaw]:
    """Manifests without their second argument, so that modules beside them are not found.

    Most other faults would be consequences, such as permissions that no message declares.
    """
    for feature in features:
        said = feature.modules, feature.routes, feature.tasks, feature.schedule
        if feature.package is not None or any(said):
            continue
        if any(_first_declaration(file) for file in _usual_files(feature.place.module)):
            manifest = f'Feature("{feature.name}")'
            problem = f"The second argument is missing in {manifest}, which is without its modules."
            hint = f'Write Feature("{feature.name}", __name__).'
            yield Flaw(Code.FEATURE_PACKAGE, problem, hint).of(feature)


def _usual_files(package: str) -> Iterator[Path]:
    """The files of the modules of a package that are found by their names."""
    for folder in getattr(sys.modules.get(package), "__path__", ()):
        for name in NAMES:
            yield Path(folder, f"{name}.py")
            yield from sorted(Path(folder, name).glob("*.py"))


def unloaded_faults(features: Sequence[Feature]) -> Iterator[Flaw]:
    """Modules that declare handlers, routes or tables, and that nothing has imported."""
    for feature in features:
        package = feature.package or feature.place.module
        folders = getattr(sys.modules.get(package), "__path__", ())
        for name, file in _unloaded(package, folders):
            line = _first_declaration(file)
            if line is not None:
                problem = f"Nothing imports {name}, so that nothing of it works."
                own = name.removeprefix(f"{package}.").partition(".")[0]
                near = get_close_matches(own, NAMES, n=1) or [f"one of {', '.join(NAMES)}"]
                manifest = f'Feature("{feature.name}", __name__)'
                hint = (
                    f"Call it {near[0]}, which {manifest} finds, or import it in a module of these."
                )
                if own in NAMES:
                    hint = f"Write {manifest}, which finds it."
                where = str(Place(str(file), line))
                yield Flaw(Code.FEATURE_MODULE_NOT_LISTED, problem, hint, where)


def _unloaded(package: str, folders: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """The modules below a package that are not loaded, with their files; no other feature's."""
    for folder in folders:
        for each in iter_modules([folder]):
            name, path = f"{package}.{each.name}", Path(folder, each.name)
            if OF_TESTS.search(name) or hasattr(sys.modules.get(name), "feature"):
                continue
            if each.ispkg and _MANIFEST in _text(path / "__init__.py"):
                continue  # a feature that is not listed
            if each.ispkg:
                yield from _unloaded(name, [str(path)])
            elif name not in sys.modules and (file := path.with_suffix(".py")).is_file():
                yield name, file


def _text(file: Path) -> str:
    return file.read_text("utf-8", errors="replace") if file.is_file() else ""


def _first_declaration(file: Path) -> int | None:
    """The line of a module's first declaration, or None."""
    text = _text(file)
    found = _DECLARES.search(text) if "backstay" in text else None
    return None if found is None else text.count("\n", 0, found.start()) + 1
