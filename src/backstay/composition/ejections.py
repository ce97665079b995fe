"""Compares the code of Backstay that a project holds with what Python has loaded."""

import sys
from collections.abc import Iterator
from pathlib import Path

from backstay.core.wiring import Code, Flaw, Place
from backstay.settings.ejected import ejected_folders, passed_over

_PACKAGE = "backstay.features"
_PACKAGED = Path(sys.modules["backstay"].__path__[0]) / "features"


def ejection_faults() -> Iterator[Flaw]:
    """The copies that stand in place of nothing, that are there twice, or that were found too late.

    The last would be dangerous: the application would run the packaged code as if it had no copy.
    The same holds for a copy of all of Backstay.
    """
    for folder in passed_over():
        problem = f"The project has all of Backstay in {folder}, but {_PACKAGED.parent} was loaded."
        hint = (
            "Run the command of the environment in which the project is installed, such as "
            ".venv/bin/backstay, and uninstall the package backstay there."
        )
        yield Flaw(Code.FEATURE_EJECTED, problem, hint, str(Place(str(folder / "__init__.py"), 1)))
    copies: dict[str, list[Path]] = {}
    for folder in map(Path, ejected_folders()):
        for manifest in sorted(folder.glob("*/__init__.py")):
            copies.setdefault(manifest.parent.name, []).append(manifest)
    for name, (first, *others) in copies.items():
        where = str(Place(str(first), 1))
        if not (_PACKAGED / name / "__init__.py").is_file():
            problem = f"{name} is ejected, and Backstay has no feature of this name."
            hint = "Make it a feature of the project: move it into the folder of its features."
            yield Flaw(Code.FEATURE_EJECTED, problem, hint, where)
        elif others:
            problem = f"The feature {name} is ejected twice, also in {others[0].parent}."
            hint = "Two projects cannot both have a copy in one environment: uninstall one."
            yield Flaw(Code.FEATURE_EJECTED, problem, hint, where)
        elif fault := _late(name, first):
            yield fault._replace(where=where)


def _late(name: str, manifest: Path) -> Flaw | None:
    loaded = getattr(sys.modules.get(f"{_PACKAGE}.{name}"), "__file__", None)
    if loaded is None or Path(loaded).resolve() == manifest.resolve():
        return None
    problem = f"The feature {name} is ejected, but {loaded} was loaded before the copy was found."
    hint = (
        "Import the project before Backstay, start it in the project's folder, or say in "
        "BACKSTAY_APP which application it is."
    )
    return Flaw(Code.FEATURE_EJECTED, problem, hint)
