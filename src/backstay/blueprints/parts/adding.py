"""Plans how a part gets into a feature, and out of it again; nothing is written here."""

import ast
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from backstay.blueprints.changes import Action, Change, content_of
from backstay.blueprints.entities.existing import Project
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.files import Style, decoded, encoded, obstacle, unreadable
from backstay.blueprints.insertion import PlaceNotFound
from backstay.blueprints.parts import edits
from backstay.blueprints.parts.description import Part
from backstay.blueprints.parts.edits import Element, Field
from backstay.blueprints.parts.reading import Source, described
from backstay.blueprints.parts.rendering import render
from backstay.blueprints.records import Record, record_of, records
from backstay.blueprints.scratch import boot, scratch_copy
from backstay.blueprints.tree import Plan
from backstay.settings.project import find_project

Tell = Callable[[str], None]
"""Takes a sentence about what happens now."""
HOME = '"""Parts of {feature}: each module here is one, and the feature finds it."""\n'


@dataclass(frozen=True)
class Files:
    """A person's files, as they would be."""

    source: Source
    new: dict[str, str]
    styles: dict[str, Style]

    def edit(self, module: str, change: Callable[[str], str], paste: str) -> None:
        """Change a module; ``paste`` is what its author may write there instead.

        Raises:
            BlueprintError: there is no place for the change.
        """
        path = self.source.path_of(module)
        name = path.relative_to(self.source.root).as_posix() if path else f"{module} (no file)"
        if path and (wrong := obstacle(self.source.root, name)):
            raise BlueprintError(wrong)
        try:
            if path is None:
                raise PlaceNotFound
            if name not in self.new:
                text, self.styles[name] = decoded(name, path.read_bytes())
                self.source.tree(path)
            else:
                text = self.new[name]
            after = change(text)
            if unreadable(name, after):
                raise PlaceNotFound
            self.new[name] = after
        except PlaceNotFound:
            raise BlueprintError(
                f"{name} has no place for this that is certain. Nothing was changed. {paste}"
            ) from None

    def changes(self) -> tuple[Change, ...]:
        """What becomes of the files."""
        found = []
        for name, text in sorted(self.new.items()):
            before = content_of(self.source.root / name)
            after = encoded(text, self.styles.get(name, Style()))
            if before != after:
                action = Action.WRITE if before is None else Action.UPDATE
                found.append(Change(name, action, before, after, tracked=False))
        return tuple(found)


def part_addition(project: Project, part: Part, tell: Tell) -> Plan:
    """Plan to add a part, or to render it again; it is tried in a copy of the project.

    Raises:
        BlueprintError: something is wrong with the part or with the project; it says what.
    """
    source = Source(project.root, project.package)
    _refuse_another_feature(project.root, part)
    part = replace(part, found=described(source, part))
    plan = _plan(project.root, project.package, part)
    if plan.conflicts or all(change.action is Action.KEEP for change in plan.changes):
        return plan
    tell(f"Trying the {part.kind} in a copy of the project.")
    with scratch_copy(project.root) as copy:
        _plan(copy, project.package, part).apply()
        boot(copy, [str(part.found["feature_name"])])
    return plan


def _refuse_another_feature(root: Path, part: Part) -> None:
    earlier = record_of(root, part.kind, part.name)
    if earlier and earlier.options["feature"] != part.feature:
        raise BlueprintError(
            f"The {part.kind} {part.name} is in {earlier.options['feature']} already. Choose "
            f"another name, or remove it first: backstay remove {part.kind} {part.name}",
            usage=True,
        )


def _plan(root: Path, package: str, part: Part) -> Plan:
    files = Files(Source(root, package), {}, {})
    application = application_of(root)
    part = _with_group(files, part, application)
    for element in edits.elements_of(part, files.source, application):
        _put(files, element, application)
    if part.kind != "setting":
        home = f"src/{package}/features/{part.feature}/parts/__init__.py"
        if not (root / home).exists():
            files.new[home] = HOME.format(feature=part.feature.replace("_", " "))
    rendered = render(part, package)
    _refuse_taken(root, part, rendered)
    _refuse_classes(files.source, part, rendered)
    return Plan.of(root, rendered, _record(part)) + Plan(root, files.changes(), {})


def _refuse_taken(root: Path, part: Part, rendered: dict[str, str]) -> None:
    """Refuse a name under which another part has its module."""
    for other in records(root):
        same = set(other.files).intersection(rendered)
        if same and (other.blueprint, other.name) != (part.kind, part.name):
            raise BlueprintError(
                f"The {other.blueprint} {other.name} has {min(same)} already. Choose another name.",
                usage=True,
            )


def _refuse_classes(source: Source, part: Part, rendered: dict[str, str]) -> None:
    """Refuse a name that a class of the feature has already."""
    made = {name for path, text in rendered.items() if "/parts/" in path for name in _classes(text)}
    folder = source.root / "src" / source.package / "features" / part.feature
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(source.root).as_posix()
        if name not in rendered and (taken := made.intersection(_classes(path.read_bytes()))):
            raise BlueprintError(
                f"{name} has a class {min(taken)} already, as the {part.kind} {part.name} would. "
                "Choose another name.",
                usage=True,
            )


def _classes(text: str | bytes) -> set[str]:
    try:
        return {node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
    except (SyntaxError, ValueError):
        return set()


def _record(part: Part) -> Record:
    options = {
        "feature": part.feature,
        "type": part.type,
        "default": part.default,
        "found": dict(part.found),
    }
    return Record(part.kind, part.name, options)


def _with_group(files: Files, part: Part, application: str) -> Part:
    """The part with the name of the project's settings, which get its field, if it has one."""
    if part.kind not in {"webhook", "setting"}:
        return part
    source = files.source
    group = edits.group_in(source, application)
    if group is None:
        group, text = edits.new_group(source)
        if source.path_of(group.module):
            raise BlueprintError(
                f"The application does not list the settings of {group.module}. Write "
                f"settings=(…,) with its class into Application(…) in {application}."
            )
        path = f"src/{group.module.replace('.', '/')}.py"
        listing = Element(application, "settings", group.name, group.name, group.module)
        paste = f"Write settings=({group.name},) into the call of Application."
        files.edit(application, lambda text: _settings(text, listing, source), paste)
        field = edits.field_of(part, group)
        files.new[path] = edits.put_field(text, field, source) if field else text
    elif field := edits.field_of(part, group):
        paste = f"Write into the class {group.name}:\n{field.lines}"
        earlier = record_of(source.root, part.kind, part.name)
        before = edits.field_of(part_of_record(earlier), group) if earlier else None
        files.edit(group.module, _putting_field(field, before, source), paste)
    names = {"group": group.name, "group_module": group.module, "prefix": group.prefix}
    return replace(part, found={**part.found, **names})


def _putting_field(field: Field, before: Field | None, source: Source) -> Callable[[str], str]:
    def change(text: str) -> str:
        if before is None and edits.has_field(text, field) and field.lines not in text:
            raise BlueprintError(
                f"{field.group.name} has a field {field.name} already. Choose another name.",
                usage=True,
            )
        if before and before.lines != field.lines:
            text = edits.take_field(text, before)
        return edits.put_field(text, field, source)

    return change


def _settings(text: str, listing: Element, source: Source) -> str:
    return edits.put(text, listing, source)


def _put(files: Files, element: Element, application: str) -> None:
    paste = (
        f"Write `from {element.home} import {element.name}` there yourself, and "
        f"{element.keyword}=({element.element},) into the call; then run this again."
    )
    source = files.source
    if element.keyword == "roles" and (found := edits.roles_in(source, application)):
        module, variable = found
        change = lambda text: edits.put_role(text, variable, element, source)  # noqa: E731
        files.edit(module, change, paste)
    else:
        files.edit(element.module, lambda text: edits.put(text, element, source), paste)


def part_of_record(record: Record) -> Part:
    """The part as it was added."""
    return Part(kind=record.blueprint, name=record.name, **record.options)


def application_of(root: Path) -> str:
    """The module of the application of a project."""
    found = find_project(root)
    if found is None:
        raise BlueprintError(f"{root} is in no project.")
    return found.app.partition(":")[0]
