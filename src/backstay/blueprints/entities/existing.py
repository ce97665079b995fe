"""What a project has already: generated entities, entities written by hand, and the package's."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backstay.blueprints.entities.checks import Taken
from backstay.blueprints.entities.description import USER, Entity, Known, known_of
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.records import Record, records
from backstay.settings.project import find_project

KIND = "entity"


@dataclass(frozen=True)
class Project:
    """A project that entities are added to.

    Attributes:
        root: its folder.
        package: its package: ``shop`` of ``src/shop``.
        entities: those that were generated, by name, as they are now.
        records: of these, by name.
        by_hand: entities of other features, by name.
    """

    root: Path
    package: str
    entities: dict[str, Entity]
    records: dict[str, Record]
    by_hand: dict[str, Known]

    @classmethod
    def of(cls, start: Path) -> "Project":
        """The project of a folder.

        Raises:
            BlueprintError: there is none, or it has no folder of features.
            ConfigurationError: its `pyproject.toml` cannot be read, or names no application.
        """
        found = find_project(start)
        if found is None:
            raise BlueprintError(
                f"{start} is in no project: no pyproject.toml above has a table [tool.backstay]. "
                "Make a project: backstay new shop"
            )
        package = found.app.partition(":")[0].partition(".")[0]
        features = found.root / "src" / package / "features"
        if not (features / "__init__.py").is_file():
            raise BlueprintError(
                f"{found.root} has no features in src/{package}/features. Make the folder with an "
                f'empty __init__.py, and list features_of("{package}.features") in the application.'
            )
        made = {each.name: each for each in records(found.root) if each.blueprint == KIND}
        entities = {name: Entity.of(each.options) for name, each in made.items()}
        own = {entity.plural for entity in entities.values()}
        by_hand = {
            known.name: known
            for folder in sorted(features.iterdir())
            if folder.name not in own
            for known in _written(folder, package)
        }
        return cls(found.root, package, entities, made, by_hand)

    def known(self, new: dict[str, Entity]) -> dict[str, Known]:
        """What references may name, together with the entities that are added now."""
        made = {
            name: known_of(entity, self.package) for name, entity in (self.entities | new).items()
        }
        return {"User": USER, **self.by_hand, **made}

    def taken(self, new: dict[str, Entity]) -> Taken:
        """What the entities that are added must leave alone."""
        from backstay.features import STANDARD  # noqa: PLC0415

        tables = dict.fromkeys(_platform_tables(), "the package")
        tables |= {known.table: f"the feature {known.feature}" for known in self.by_hand.values()}
        features = {feature.name: "the package" for feature in STANDARD}
        folder = self.root / "src" / self.package / "features"
        own = {entity.plural for entity in self.entities.values()}
        features |= {each.name: "the project" for each in folder.iterdir() if each.name not in own}
        for name, entity in self.entities.items():
            if name not in new:
                tables |= dict.fromkeys(entity.tables, name)
                features[entity.plural] = name
        messages = frozenset(
            message.__name__ for feature in STANDARD for message in feature.messages()
        )
        return Taken(tables, features, messages, self.known(new))


def _platform_tables() -> Iterator[str]:
    import backstay.composition  # noqa: F401, PLC0415 - loads the models
    from backstay.db.base import Base  # noqa: PLC0415

    yield from Base.metadata.tables


def _written(folder: Path, package: str) -> Iterator[Known]:
    """The entities of a feature that nothing generated, with the query that shows a row."""
    queries = {
        node.name: f"{package}.features.{folder.name}.{name}"
        for name in ("queries", "messages")
        for node in _classes(folder / f"{name}.py")
        if node.name.startswith("Get")
    }
    for node in (*_classes(folder / "model.py"), *_classes(folder / "messages.py")):
        table = _table(node)
        message = f"Get{node.name}"
        if table and message in queries:
            yield Known(node.name, table, folder.name, message, queries[message])


def _classes(path: Path) -> Iterator[ast.ClassDef]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    yield from (node for node in tree.body if isinstance(node, ast.ClassDef))


def _table(node: ast.ClassDef) -> str | None:
    for each in node.body:
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant):
            names = [target.id for target in each.targets if isinstance(target, ast.Name)]
            if names == ["__tablename__"] and isinstance(each.value.value, str):
                return each.value.value
    return None
