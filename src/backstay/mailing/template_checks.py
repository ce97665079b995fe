"""Checks the mail templates of a project, so that a mistake is told at boot and not by a job."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from backstay.core.mail import IN_EVERY_MAIL
from backstay.core.wiring import Code, Flaw, Place
from backstay.mailing.templates import MAILS, OURS, mail_environment, mail_folders

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

_NAME = re.compile(r"[a-z0-9_]{1,100}\.(txt|html)")
_TWIN = {".txt": ".html", ".html": ".txt"}
_PACKAGED = frozenset(each.name for each in OURS.iterdir())


class Overview(NamedTuple):
    """The mails of a project: the packaged files that it replaces, and the mails that it adds."""

    replaced: tuple[str, ...]
    added: tuple[str, ...]


def overview(folder: Path) -> Overview:
    """What the templates of a folder are, by their names; nothing if there is no such folder."""
    names = {each.name for each in folder.glob("*.*")}
    own = {Path(each).stem for each in names - _PACKAGED if each.endswith(".txt")}
    pairs = (each for each in own if f"{each}.html" in names)
    return Overview(tuple(sorted(names & _PACKAGED)), tuple(sorted(pairs)))


def template_faults(root: Path | None, setting: str | None) -> Iterator[Flaw]:
    """The faults of a project's mails; see `mail_folders`."""
    if root is not None:
        yield from _misplaced(root)
    if setting and not Path(setting).is_dir():
        problem = f"MAIL_TEMPLATES_DIR names {setting}, and there is no such folder."
        hint = "Make the folder, correct the path, or remove the setting."
        yield Flaw(Code.TEMPLATE_FOLDER, problem, hint, setting)
    folders = [each for each in mail_folders(root, setting) if each.is_dir()]
    if any(each.suffix in _TWIN for folder in folders for each in folder.rglob("*.*")):
        yield from _Sheets(folders).faults()


def _misplaced(root: Path) -> Iterator[Flaw]:
    if not root.is_dir():
        problem = f"There is no folder {root}, which `templates` of the application names."
        yield Flaw(Code.TEMPLATE_FOLDER, problem, "Make it, or correct the name.", str(root))
        return
    for each in sorted(root.iterdir()):
        is_pair = each.suffix == ".txt" and each.with_suffix(".html").exists()
        if each.name in _PACKAGED or is_pair:
            problem = f"{each.name} belongs to a mail, and mails are not looked for here."
            hint = f"Move it into {root.name}/{MAILS}."
            yield Flaw(Code.TEMPLATE_FOLDER, problem, hint, _place(each))


def _place(file: Path, line: int = 1) -> str:
    return str(Place(str(file), line))


class _Reference(NamedTuple):
    """A template that another one extends, includes or imports."""

    name: str
    line: int
    is_needed: bool


class _Sheet(NamedTuple):
    """A template that could be parsed, and the line of each value that it cannot do without."""

    file: Path
    source: str
    references: Sequence[_Reference]
    values: Mapping[str, int]


class _Sheets:
    """All templates of a project's mails, with the packaged ones that it does not replace."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._environment = mail_environment(*folders)
        self._unreadable: list[Flaw] = []
        self._known: dict[str, _Sheet] = {}
        self._names: set[str] = set()
        for folder in (OURS, *reversed(folders)):
            for file in sorted(folder.rglob("*.*")):
                if file.suffix in _TWIN and file.is_file():
                    self._read(file, file.relative_to(folder).as_posix())

    @cached_property
    def _own(self) -> dict[str, _Sheet]:
        return {name: each for name, each in self._known.items() if each.file.parent != OURS}

    def faults(self) -> Iterator[Flaw]:
        """What is wrong with the templates of the project."""
        yield from self._unreadable
        used = {each.name for sheet in self._known.values() for each in sheet.references}
        for name, sheet in sorted(self._own.items()):
            yield from self._unknown_references(sheet)
            if "/" not in name and name not in used:
                yield from self._faults_of_mail(name, sheet)
        yield from self._unknown_values()

    def _read(self, file: Path, name: str) -> None:
        from jinja2 import TemplateSyntaxError  # noqa: PLC0415

        self._names.add(name)
        self._known.pop(name, None)
        try:
            source = file.read_text("utf-8")
            tree = self._environment.parse(source, name)
            self._environment.compile(tree, name)  # finds filters and tests that do not exist
        except TemplateSyntaxError as error:
            line, said = error.lineno, f"{error.message}".rstrip(".")
        except (OSError, UnicodeError) as error:
            line, said = 1, f"{error}"
        else:
            tree = self._environment.parse(source, name)
            values = _values_of(self._environment, tree)
            self._known[name] = _Sheet(file, source, list(_references_of(tree)), values)
            return
        problem = f"The template {name} cannot be read: {said}."
        hint = "Correct that line; a template is Jinja in UTF-8."
        self._unreadable.append(Flaw(Code.TEMPLATE_UNREADABLE, problem, hint, _place(file, line)))

    def _unknown_references(self, sheet: _Sheet) -> Iterator[Flaw]:
        for each in sheet.references:
            if each.is_needed and each.name not in self._names:
                problem = f"There is no template {each.name}, which {sheet.file.name} uses."
                hint = "Write it into the same folder, or correct the name."
                place = _place(sheet.file, each.line)
                yield Flaw(Code.TEMPLATE_UNREADABLE, problem, hint, place)

    def _faults_of_mail(self, name: str, sheet: _Sheet) -> Iterator[Flaw]:
        """The faults of half a mail; a template that another one uses is none."""
        place, stem = _place(sheet.file), Path(name).stem
        if not _NAME.fullmatch(name):
            problem = f"No mail can be called {stem}."
            hint = "Use lower-case letters, digits and underscores."
            yield Flaw(Code.TEMPLATE_NAME, problem, hint, place)
        twin = f"{stem}{_TWIN[Path(name).suffix]}"
        # what an unreadable template uses is not known, and might be this
        if twin not in self._names and name not in _PACKAGED and not self._unreadable:
            problem = f"The mail {stem} lacks {twin}."
            hint = "A mail has both; a part that other templates include is not a mail."
            yield Flaw(Code.TEMPLATE_TWIN, problem, hint, place)
        if name.endswith(".txt") and not sheet.source.partition("\n")[0].strip():
            problem = f"The first line of {name} is empty, and would be the subject."
            yield Flaw(Code.TEMPLATE_SUBJECT, problem, "Begin with the subject.", place)

    def _unknown_values(self) -> Iterator[Flaw]:
        """Values that a template of the project expects, and that a packaged mail is not given."""
        told: set[tuple[str, str]] = set()
        packaged = _Sheets([])._known if self._own else {}
        for mail in sorted(name for name in _PACKAGED if name.endswith(".txt")):
            pair = (mail, str(Path(mail).with_suffix(".html")))
            given = {value for each in pair for value in packaged[each].values}
            given |= IN_EVERY_MAIL | {"url"}
            for name in sorted({each for half in pair for each in self._closure(half)}):
                sheet = self._own.get(name)
                for value in sorted(sheet.values.keys() - given) if sheet else ():
                    if sheet and (name, value) not in told:
                        told.add((name, value))
                        stem = Path(mail).stem
                        problem = f"{name} uses {value}, which the mail {stem} is not given."
                        hint = f"It knows {', '.join(sorted(given))}."
                        place = _place(sheet.file, sheet.values[value])
                        yield Flaw(Code.TEMPLATE_VALUE, problem, hint, place)

    def _closure(self, name: str) -> set[str]:
        """A template with all that it extends, includes and imports, also by others."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            one = waiting.pop()
            if one in self._known and one not in found:
                found.add(one)
                waiting += [each.name for each in self._known[one].references]
        return found


def _references_of(tree: "nodes.Template") -> Iterator[_Reference]:
    """What a template names as text; a name that is computed cannot be looked up."""
    from jinja2 import nodes  # noqa: PLC0415

    for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        named = getattr(node, "template", None)
        several = named.items if isinstance(named, nodes.List | nodes.Tuple) else [named]
        is_needed = len(several) == 1 and not getattr(node, "ignore_missing", False)
        for each in several:
            if isinstance(each, nodes.Const) and isinstance(each.value, str):
                yield _Reference(each.value, node.lineno, is_needed)


def _values_of(environment: "Environment", tree: "nodes.Template") -> dict[str, int]:
    """The values that a template cannot do without, each with its first line.

    A value that it asks for (`is defined`) or replaces (`default`) may be absent.
    """
    from jinja2 import meta, nodes  # noqa: PLC0415

    absent = set(environment.globals)
    for node in tree.find_all((nodes.Test, nodes.Filter)):
        inner = getattr(node, "node", None)
        asks = getattr(node, "name", "") in {"defined", "undefined", "default", "d"}
        if asks and isinstance(inner, nodes.Name):
            absent.add(inner.name)
    lines: dict[str, int] = {}
    for name in tree.find_all(nodes.Name):
        lines.setdefault(name.name, name.lineno)
    undeclared = meta.find_undeclared_variables(tree)
    return {name: lines.get(name, 1) for name in undeclared - absent}
