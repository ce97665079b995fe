"""Shows that features import each other only as their manifests allow, and never in a circle."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from backstay.features import STANDARD
from tests.architecture.tree import PACKAGE, copy_of_project, plant, sources

PREFIX = ("backstay", "features")
SHARED = {"commands", "queries", "events", "schemas"}
ADMINISTERS = {("tiers", "rate_rules.model")}
"""What one feature changes of another's tables: both are of one noun, and only one can be left
out."""


@dataclass(frozen=True)
class Manifest:
    """What the ``__init__.py`` of a feature says about it."""

    name: str
    requires: frozenset[str]
    foundation: bool


@dataclass(frozen=True)
class Import:
    """A module of one feature that imports from another."""

    where: str
    feature: str
    other: str
    module: str


def import_faults(package: Path) -> list[str]:
    """Every import and foreign key between features that the rules do not allow."""
    folders = [path.parent for path in sorted((package / "features").glob("*/__init__.py"))]
    manifests = {folder.name: _manifest(folder) for folder in folders}
    imports = [found for folder in folders for found in _imports(folder)]
    return [
        *_manifest_faults(manifests),
        *(fault for found in imports for fault in _import_faults(found, manifests)),
        *_cycles(imports),
        *_key_faults(folders, manifests),
    ]


def _manifest(folder: Path) -> Manifest:
    tree = ast.parse((folder / "__init__.py").read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Feature":
            said = {k.arg: k.value for k in node.keywords if k.arg in Manifest.__annotations__}
            values = {name: ast.literal_eval(value) for name, value in said.items() if name}
            requires = frozenset(values.get("requires", ()))
            name = ast.literal_eval(node.args[0]) if node.args else values["name"]
            return Manifest(name, requires, values.get("foundation", False))
    raise AssertionError(f"{folder.name}: its __init__.py declares no Feature")


def _manifest_faults(manifests: dict[str, Manifest]) -> Iterator[str]:
    for folder, manifest in manifests.items():
        if folder != manifest.name:
            yield f"{folder}: the manifest calls it {manifest.name}"
        for name in sorted(manifest.requires):
            if name not in manifests:
                yield f"{folder}: requires {name}, which does not exist"
            elif manifest.foundation and not manifests[name].foundation:
                yield f"{folder}: the foundation must not know {name}, which is optional"


def _imports(folder: Path) -> Iterator[Import]:
    for path, tree in sources(folder):
        inside = path.relative_to(folder).with_suffix("").parts
        where = ".".join((folder.name, *inside))
        package = (*PREFIX, folder.name, *inside[:-1])
        for target in {t for node in ast.walk(tree) for t in _targets(node, package)}:
            parts = target.split(".")
            if tuple(parts[:2]) == PREFIX and parts[2:3] != [folder.name]:
                yield Import(where, folder.name, *(*parts, "", "")[2:4])


def _targets(node: ast.AST, package: tuple[str, ...]) -> Iterator[str]:
    """The dotted names that an import statement may load, whichever way it is written."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package[: len(package) - node.level + 1] if node.level else ()
        base = ".".join((*above, *([node.module] if node.module else [])))
        is_feature = base.count(".") < len(PREFIX) + 1
        yield from (f"{base}.{alias.name}" if is_feature else base for alias in node.names)


def _import_faults(found: Import, manifests: dict[str, Manifest]) -> Iterator[str]:
    what = f"{found.other}.{found.module}" if found.module else found.other
    if found.module not in SHARED and (found.feature, what) not in ADMINISTERS:
        yield f"{found.where}: {what} is private to its feature"
    if found.other not in manifests[found.feature].requires:
        yield f"{found.where}: imports {found.other}, which its manifest does not require"


def _cycles(imports: list[Import]) -> Iterator[str]:
    graph: dict[str, set[str]] = {}
    for found in imports:
        graph.setdefault(found.feature, set()).add(found.other)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"features in a circle: {' -> '.join(error.args[1])}"


def _key_faults(folders: list[Path], manifests: dict[str, Manifest]) -> Iterator[str]:
    owners = {table: folder.name for folder in folders for table in _tables(folder)}
    for folder in folders:
        manifest = manifests[folder.name]
        for key in _foreign_keys(folder):
            target = key.args[0] if key.args else None
            if not isinstance(target, ast.Constant) or not isinstance(target.value, str):
                yield f"{folder.name}: {ast.unparse(key)} must name its table in a string"
                continue
            owner = owners.get(target.value.partition(".")[0], folder.name)
            foundation = manifests[owner].foundation
            if owner != folder.name and not foundation and owner not in manifest.requires:
                yield f"{folder.name}: {target.value} is a table of {owner}, not required"


def _tables(folder: Path) -> Iterator[str]:
    for _, tree in sources(folder):
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__tablename__":
                yield ast.literal_eval(node.value)


def _foreign_keys(folder: Path) -> Iterator[ast.Call]:
    for _, tree in sources(folder):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("ForeignKey"):
                yield node


def test_features_import_each_other_only_as_manifests_allow() -> None:
    assert import_faults(PACKAGE) == []


def test_every_feature_is_in_the_table_of_contents() -> None:
    folders = {path.parent.name for path in (PACKAGE / "features").glob("*/__init__.py")}
    assert {feature.name for feature in STANDARD} == folders


OTHER = """
from backstay.core.feature import Feature

feature = Feature(name="other", requires=("users",))
"""
FOUNDATION = 'feature = Feature(name="users", requires=("other",), foundation=True)'
BREACHES = {
    "items.queries: users.model is private to its feature": {
        "items/queries.py": "from backstay.features.users.model import User"
    },
    "items.queries: users.routes is private to its feature": {
        "items/queries.py": "from backstay.features.users import routes"
    },
    "items.commands: access.admin is private to its feature": {
        "items/commands.py": "def late():\n    import backstay.features.access.admin"
    },
    "items.schemas: users.model is private to its feature": {
        "items/schemas.py": "from ..users.model import User"
    },
    "items.events: users is private to its feature": {
        "items/events.py": "from backstay.features import users"
    },
    "items.commands: imports users, which its manifest does not require": {
        "items/commands.py": "from backstay.features.users.queries import GetUser"
    },
    "users.commands: imports items, which its manifest does not require": {
        "users/commands.py": "from backstay.features.items.events import ItemCreated"
    },
    "users: the foundation must not know other, which is optional": {
        "users/__init__.py": FOUNDATION,
        "other/__init__.py": OTHER,
    },
    "users: requires other, which does not exist": {"users/__init__.py": FOUNDATION},
    "features in a circle: ": {
        "users/schemas.py": "from backstay.features.auth.schemas import TokenAnswer"
    },
    "items: ForeignKey(Item.id) must name its table in a string": {
        "items/model.py": "parent = ForeignKey(Item.id)"
    },
    "other: items.id is a table of items, not required": {
        "other/__init__.py": OTHER,
        "other/model.py": 'item_id = mapped_column(ForeignKey("items.id"))',
    },
    "stray: the manifest calls it other": {"stray/__init__.py": OTHER},
}


@pytest.mark.parametrize(("fault", "planted"), BREACHES.items(), ids=BREACHES)
def test_a_forbidden_import_is_noticed(tmp_path: Path, fault: str, planted: dict[str, str]) -> None:
    package = copy_of_project(tmp_path)
    for module, code in planted.items():
        if module == "users/__init__.py":
            (package / "features" / module).unlink()
        plant(package / "features", module, code)
    assert [found for found in import_faults(package) if found.startswith(fault)]


def test_a_required_feature_may_be_used(tmp_path: Path) -> None:
    package = copy_of_project(tmp_path)
    plant(package / "features", "other/__init__.py", OTHER)
    plant(package / "features", "other/queries.py", "from ..users.queries import GetUser")
    assert import_faults(package) == []
