"""What a part needs to know of a project, read from its code without running it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.parts.description import Part
from backstay.blueprints.words import listed

_SAMPLES = {
    "str": '"x"',
    "int": "1",
    "float": "1.5",
    "bool": "True",
    "UUID": "uuid4()",
    "Decimal": 'Decimal("1.50")',
    "Money": 'Decimal("1.50")',
}
_SHOWN = ("Money", "str", "int", "float", "bool", "UUID", "datetime", "date")
_LONGEST_SAMPLE = 60


class Source:
    """The Python files of a project."""

    def __init__(self, root: Path, package: str) -> None:
        self.root = root
        self.package = package

    def path_of(self, module: str) -> Path | None:
        """The file of a module of the project."""
        plain = self.root / "src" / Path(*module.split("."))
        found = (plain.with_suffix(".py"), plain / "__init__.py")
        return next((path for path in found if path.is_file()), None)

    def tree(self, path: Path) -> ast.Module:
        """What a file says.

        Raises:
            BlueprintError: it is no Python.
        """
        try:
            return ast.parse(path.read_bytes())
        except (SyntaxError, ValueError) as error:
            place = path.relative_to(self.root)
            raise BlueprintError(f"{place} is no Python that can be read: {error}.") from None

    def features(self) -> list[str]:
        """The folders of features."""
        folder = self.root / "src" / self.package / "features"
        return sorted(
            each.name
            for each in folder.iterdir()
            if (each / "__init__.py").is_file() and not each.name.startswith("_")
        )


def described(source: Source, part: Part) -> dict[str, Any]:
    """What the blueprint of a part needs: the names of its feature, its table, its resource.

    Raises:
        BlueprintError: there is no such feature, or it lacks what the part is made of.
    """
    there = source.features()
    if part.feature not in there:
        told = f"There are: {listed(there)}." if there else "Add an entity first."
        raise BlueprintError(
            f"There is no feature {part.feature} in src/{source.package}/features. {told}",
            usage=True,
        )
    folder = source.root / "src" / source.package / "features" / part.feature
    found: dict[str, Any] = {"feature_name": _name(source, folder)}
    if part.kind in {"report", "stream"}:
        found |= _model(source, folder, part)
    if part.kind == "role":
        found |= _resource(source, folder, part)
    return found


def _name(source: Source, folder: Path) -> str:
    for call in _calls(source.tree(folder / "__init__.py"), "Feature"):
        if call.args and isinstance(call.args[0], ast.Constant):
            return str(call.args[0].value)
    place = (folder / "__init__.py").relative_to(source.root)
    raise BlueprintError(
        f'{place} has no `feature = Feature("{folder.name}", __name__)`. Parts are added to '
        "features that have their name there."
    )


def _calls(tree: ast.Module, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def _model(source: Source, folder: Path, part: Part) -> dict[str, Any]:
    """The first table of a feature, its columns, and a row of it for a test."""
    path = folder / "model.py"
    classes = [] if not path.is_file() else source.tree(path).body
    for node in classes:
        if isinstance(node, ast.ClassDef) and (table := _text(node, "__tablename__")):
            owner = _text(node, "__owner__")
            columns = dict(_columns(node))
            if part.kind == "stream" and owner not in columns:
                raise BlueprintError(
                    f"The rows of {node.name} belong to nobody, and a stream shows each user "
                    "their own. Give the class a column and `__owner__`, or add an entity with "
                    "--owned."
                )
            shown = [(name, _type(each)) for name, each in columns.items() if name != owner]
            return {
                "model": node.name,
                "table": table,
                "owner": owner or "",
                "soft_delete": any(ast.unparse(base) == "SoftDelete" for base in node.bases),
                "columns": _all_columns([pair for pair in shown if _is_shown(pair[1])]),
                "sample": _sample(columns),
            }
    raise BlueprintError(
        f"{part.feature} has no table in model.py, and a {part.kind} shows rows. Add an entity "
        "first: backstay add Rig 'name:str:200' --owned"
    )


def _all_columns(shown: list[tuple[str, str]]) -> list[list[str]]:
    names = [name for name, _ in shown]
    first = [] if "id" in names else [["id", "UUID"]]
    return [*first, *([name, type_] for name, type_ in shown)]


def _text(node: ast.ClassDef, name: str) -> str | None:
    for each in node.body:
        if isinstance(each, ast.Assign) and [ast.unparse(t) for t in each.targets] == [name]:
            return each.value.value if _is_text(each.value) else None  # type: ignore[attr-defined]
    return None


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _columns(node: ast.ClassDef) -> Iterator[tuple[str, ast.AnnAssign]]:
    for each in node.body:
        if not isinstance(each, ast.AnnAssign):
            continue
        made = ast.unparse(each.value) if each.value else ""
        if ast.unparse(each.annotation).startswith("Mapped[") and "relationship(" not in made:
            yield ast.unparse(each.target), each


def _type(column: ast.AnnAssign) -> str:
    return ast.unparse(column.annotation).removeprefix("Mapped[").removesuffix("]")


def _is_shown(type_: str) -> bool:
    return type_.removesuffix(" | None") in _SHOWN


def _sample(columns: dict[str, ast.AnnAssign]) -> str | None:
    """The arguments of a row, or None where they cannot be guessed."""
    given = []
    for name, column in columns.items():
        made, kind = ast.unparse(column.value) if column.value else "", _type(column)
        if kind.endswith(" | None") or "default" in made or "primary_key" in made:
            continue
        value = _SAMPLES.get(kind)
        if "ForeignKey(" in made:
            value = "UUID(person.id)" if "'users.id'" in made else None
        if value is None:
            return None
        given.append(f"{name}={value}")
    told = ", ".join(given)
    return told if len(told) <= _LONGEST_SAMPLE else None


def _resource(source: Source, folder: Path, part: Part) -> dict[str, Any]:
    """Where a feature declares its resource."""
    for path in sorted(folder.rglob("*.py")):
        for node in source.tree(path).body:
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
                continue
            if ast.unparse(node.value.func) == "Resource":
                inside = path.relative_to(source.root / "src").with_suffix("")
                return {
                    "resource": ast.unparse(node.targets[0]),
                    "resource_module": ".".join(inside.parts),
                }
    raise BlueprintError(
        f"{part.feature} has no Resource, so the role would have nothing to grant. Declare one "
        "in schemas.py, or add an entity first."
    )
