"""What invented releases change: each of these changes the source, and says so in the changelog."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tests.upgrades.invented import Releases


class Entry(NamedTuple):
    """A line of the changelog, under its heading."""

    heading: str
    text: str


Invention = Callable[["Releases", str], Entry]
"""Takes the releases and the number of the one that is being made."""
_ENTITIES = Path("blueprints/entities/templates")
_PARTS = Path("blueprints/parts/templates")
_PROJECT = Path("blueprints/templates/project")
_ITEMS = Path("features/items")
_MAILS = Path("mailing/mail_templates")


def function_renamed(releases: "Releases", release: str) -> Entry:
    """A function that generated, ejected and own code calls."""
    releases.rename(release, "backstay.{}", "columns_of", "columns_for")
    return Entry("Changed", "`columns_of` is `columns_for` now.")


def member_renamed(releases: "Releases", release: str) -> Entry:
    """A member of an enumeration."""
    releases.rename(release, "backstay.{}", "Scope.OWN", "Scope.MINE")
    releases.replace(Path("core/permissions.py"), '    OWN = "OWN"\n', '    MINE = "OWN"\n')
    return Entry("Changed", "`Scope.OWN` is `Scope.MINE` now.")


def argument_renamed(releases: "Releases", release: str) -> Entry:
    """An argument that is given by its name."""
    words = ("instead_of", "in_place_of")
    releases.rename(release, "backstay.handles({})", *words, only=("bus.py", "__init__.pyi"))
    return Entry("Changed", "`handles(instead_of=…)` is `handles(in_place_of=…)` now.")


def column_of_items(releases: "Releases", release: str) -> Entry:
    """A column of a table whose feature projects have ejected."""
    line = '    shelf: Mapped[str] = mapped_column(String(20), server_default="left")\n'
    place = "    owner_id: Mapped[UUID]"
    releases.replace(_ITEMS / "model.py", place, f"{line}{place}")
    column = 'sa.Column("shelf", sa.String(20), server_default="left", nullable=False)'
    releases.migrate(
        "shelf", f'op.add_column("items", {column})', 'op.drop_column("items", "shelf")'
    )
    return Entry("Added", "Items have a shelf.")


def table_of_users(releases: "Releases", release: str) -> Entry:
    """A table in a feature that projects have ejected."""
    model = Path("features/users/model.py")
    releases.replace(model, "import Entity, SoftDelete", "import Base, Entity, SoftDelete")
    place = '\n\nuser_email = Index(\n    "uq_users_email",'
    releases.replace(model, place, f"{_BADGE}{place}")
    number = 'sa.Column("number", sa.Integer(), nullable=False)'
    key = 'sa.PrimaryKeyConstraint("number", name="pk_badges")'
    up, down = f'op.create_table("badges", {number}, {key})', 'op.drop_table("badges")'
    releases.migrate("badges", up, down)
    return Entry("Added", "There are badges.")


_BADGE = '''

class Badge(Base):
    """A badge."""

    __tablename__ = "badges"

    number: Mapped[int] = mapped_column(primary_key=True)
'''


def file_generated(releases: "Releases", release: str) -> Entry:
    """A file that projects did not have."""
    text = "root = true\n\n[*]\nend_of_line = lf\n"
    (releases.package / _PROJECT / "editorconfig.jinja").write_text(text, "utf-8")
    place = '    ".gitignore": "gitignore",\n'
    releases.replace(_FILES, place, f'{place}    ".editorconfig": "editorconfig",\n')
    return Entry("Added", "A project has a file for editors.")


def file_dropped(releases: "Releases", release: str) -> Entry:
    """A file that is not generated any more."""
    line = '    "src/{name}/migrations/README.md": "migrations/README.md",\n'
    releases.replace(_FILES, line, "")
    return Entry("Removed", "The folder of migrations has no README any more.")


_FILES = Path("blueprints/project.py")


def tools_changed(releases: "Releases", release: str) -> Entry:
    """Lines of the Makefile and of `pyproject.toml`."""
    goal = ".PHONY: routes\nroutes: install ## list the routes\n\t$(BIN)/backstay routes\n\n"
    place = ".PHONY: help\n"
    releases.replace(_PROJECT / "Makefile.jinja", place, f"{goal}{place}")
    old, new = (
        'select = ["A", "ANN", "ASYNC", "B", "E"',
        'select = ["A", "ANN", "ASYNC", "B", "C4", "E"',
    )
    releases.replace(_PROJECT / "pyproject.toml.jinja", old, new)
    return Entry("Changed", "Projects are held to more rules of ruff.")


def entity_changed(releases: "Releases", release: str) -> Entry:
    """Lines of the code of entities."""
    old = '"""Change the named fields of {{ a_one }}."""'
    new = '"""Change what is named of {{ a_one }}, and nothing else."""'
    releases.replace(_ENTITIES / "commands.py.jinja", old, new)
    old = '"""Replace {{ a_one }} as a whole."""'
    releases.replace(_ENTITIES / "commands.py.jinja", old, old.replace("as a whole", "entirely"))
    return Entry("Changed", "Commands say more exactly what they do.")


def parts_changed(releases: "Releases", release: str) -> Entry:
    """Lines of the code of jobs and of the tests of webhooks."""
    old = '"""Do the work; if this raises, a worker tries again later."""'
    new = '"""Do the work, which may be done twice; if this raises, a worker tries again."""'
    releases.replace(_PARTS / "job.py.jinja", old, new)
    return Entry("Changed", "Jobs say that they may be done twice.")


def gitignore_mended(releases: "Releases", release: str) -> Entry:
    """A security fix in a file that every project has."""
    releases.replace(_PROJECT / "gitignore.jinja", "# Secrets\n", "# Secrets\n*.pem\n")
    return Entry("Security", "Keys stay out of commits: `project:.gitignore`.")


def setting_added(releases: "Releases", release: str) -> Entry:
    """A setting, which gets into `.env.example`."""
    place = "    contact_name: str | None = Field("
    line = '    motto: str = Field("", description="What the application says of itself.")\n'
    releases.replace(Path("settings/groups/app.py"), place, f"{line}{place}")
    return Entry("Added", "`APP_MOTTO`.")


def command_added(releases: "Releases", release: str) -> Entry:
    """A command with its permission and its route, in a feature that projects have ejected."""
    commands, routes = _ITEMS / "commands.py", _ITEMS / "routes.py"
    place = "class ReplaceItem(Command[ItemDetail]):\n"
    releases.replace(commands, place, f"{_COMMAND}{place}")
    releases.replace(routes, "    CreateItem,\n", "    CreateItem,\n    CountItems,\n")
    place = 'routes.get("/items/{id}", GetItem)\n'
    releases.replace(routes, place, f'{place}routes.post("/items/counted", CountItems)\n')
    return Entry("Added", "`CountItems`.")


_COMMAND = '''class CountItems(Command[None]):
    """Count the items."""

    permission = ITEMS.may("count")


@handles(CountItems)
async def count_items(command: CountItems) -> None: ...


'''


def module_added(releases: "Releases", release: str) -> Entry:
    """A module, in a feature that projects have ejected."""
    text = (
        '"""Events of items."""\n\nfrom typing import ClassVar\n\nfrom backstay import Event\n\n\n'
    )
    text += 'class ItemCounted(Event):\n    """An item was counted."""\n\n'
    text += '    aggregate: ClassVar[str] = "shelf"\n\n    shelf: str\n'
    (releases.package / _ITEMS / "events.py").write_text(text, "utf-8")
    return Entry("Added", "`ItemCounted`.")


def mail_changed(releases: "Releases", release: str) -> Entry:
    """Lines of mails, of which projects have their own, or copies."""
    for name in ("reset_password.txt", "verify_email.txt"):
        path = releases.package / _MAILS / name
        path.write_text(path.read_text("utf-8") + "\nGreetings from {{ app_name }}\n", "utf-8")
    return Entry("Changed", "Mails end with a greeting.")


def requirement_added(releases: "Releases", release: str) -> Entry:
    """A package that projects do not have yet."""
    releases.replace_in(releases.source / "pyproject.toml", '    "jinja2>=3.1",\n', _REQUIRED)
    init = releases.package / "features" / "tasks" / "__init__.py"
    init.write_text(
        init.read_text("utf-8") + "\nimport invented_rope  # noqa: E402, F401\n", "utf-8"
    )
    return Entry("Changed", "`invented-rope` is required.")


_REQUIRED = '    "jinja2>=3.1",\n    "invented-rope>=1.0",\n'


def feature_added(releases: "Releases", release: str) -> Entry:
    """A packaged feature whose name no project has."""
    releases.add_feature("rooms")
    return Entry("Added", "`rooms`.")


RELEASES: Sequence[Sequence[Invention]] = (
    (function_renamed, entity_changed),
    (setting_added, column_of_items, gitignore_mended),
    (member_renamed, tools_changed),
    (file_generated, parts_changed),
    (requirement_added,),
    (table_of_users, mail_changed),
    (file_dropped, command_added),
    (argument_renamed, feature_added),
    (module_added,),
    (),
)
"""What ten releases change, besides what each of them does."""


def renamed_in(folder: Path, pattern: str, word: str, only: Sequence[str]) -> None:
    """Rename a word in every text of the package, or in files of some names alone."""
    for path in folder.rglob("*.*"):
        if {".py", ".pyi", ".jinja"}.isdisjoint(path.suffixes) or path.name == "codemods.py":
            continue
        if only and path.name not in only:
            continue
        text = path.read_text("utf-8")
        if (new := re.sub(pattern, word, text)) != text:
            path.write_text(new, "utf-8")
