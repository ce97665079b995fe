"""Invents releases of the package: each in a copy of `src` changes what releases change."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backstay import __version__
from backstay.db.migrations.runner import PLATFORM
from tests.architecture.tree import ROOT
from tests.upgrades.environments import LINKS, build, wheel_of
from tests.upgrades.inventions import Entry, Invention, renamed_in

PARTS = ("src", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")
_MIGRATION = '''"""Invented: {name}."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    {up}


def downgrade() -> None:
    {down}
'''
_FEATURE = '''"""A packaged feature, whose name a project may have, too."""

from backstay import Feature

feature = Feature(name="{name}")
'''
_QUERIES = Path("blueprints/entities/templates/queries.py.jinja")
_ITEMS = Path("features/items/queries.py")
_README = Path("blueprints/templates/project/README.md.jinja")


@dataclass
class Releases:
    """The source of the newest release that was invented, and the wheels of all.

    Attributes:
        folder: where they lie.
        wheels: by release; the first is that of the package as it is.
        name: the public name that each release renames.
        renames: by release: what `codemods.RENAMES` says.
        words: every word that was renamed, and what it is now, the oldest first.
    """

    folder: Path
    wheels: dict[str, Path] = field(default_factory=dict)
    name: str = "TagContext"
    renames: dict[str, dict[str, str]] = field(default_factory=dict)
    words: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, self.source / part)
        self._forget_unreleased()
        wheel_of(self.folder / LINKS, "invented_rope")
        self._build(__version__)

    def _forget_unreleased(self) -> None:
        """Take what is not released yet for released: invented releases say what they change."""
        path = self.source / "CHANGELOG.md"
        before, _, rest = path.read_text("utf-8").partition("## [Unreleased]\n")
        _, _, released = rest.partition("\n## [")
        path.write_text(f"{before}## [Unreleased]\n\n## [{released}", "utf-8")

    @property
    def source(self) -> Path:
        """The folder of the source, which is made when it is asked for."""
        folder = self.folder / "source"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def package(self) -> Path:
        """The package in it."""
        return self.source / "src" / "backstay"

    @property
    def newest(self) -> str:
        """The newest release."""
        return list(self.wheels)[-1]

    def release(self, *inventions: Invention, clash: str = "") -> str:
        """Invent the next release; its number.

        Each renames a class, adds a column, and mends generated files; these change more.
        """
        number = len(self.wheels)
        old, new = self.newest, f"{int(__version__.split('.')[0])}.{1 + number}.0"
        name = f"TagContext{number}"
        self.rename(new, "backstay.{}", self.name, name)
        self.name = name
        self._add_column(f"colour_{number}")
        self._change_blueprints(number)
        entries = [
            Entry("Changed", f"`{self.name}` is what it is called now."),
            Entry(
                "Security",
                f"Rows are counted ({number}): `entity:*/queries.py`,\n"
                "  `eject:*/items/queries.py`.",
            ),
            *(invention(self, new) for invention in inventions),
        ]
        if clash:
            self.add_feature(clash)
        told = "\n\n".join(
            f"### {heading}\n"
            + "\n".join(f"- {each.text}" for each in entries if each[0] == heading)
            for heading in dict.fromkeys(each.heading for each in entries)
        )
        text = f"## [Unreleased]\n\n## [{new}] - 2027-01-{number:02}\n\n{told}\n"
        self.replace_in(self.source / "CHANGELOG.md", "## [Unreleased]\n", text)
        init = Path("__init__.py")
        self.replace(init, f'__version__ = "{old}"', f'__version__ = "{new}"')
        self._build(new)
        return new

    def now(self, line: str) -> str:
        """A line of a person with the names of today."""
        for old, new in self.words:
            line = re.sub(rf"\b{re.escape(old)}\b", new, line)
        return line

    def rename(
        self, release: str, form: str, old: str, new: str, *, only: Sequence[str] = ()
    ) -> None:
        """Rename a public name: wherever the package has the word, and in its codemods."""
        renamed_in(self.package, rf"\b{re.escape(old)}\b", new, only)
        self.words.append((old, new))
        self.renames.setdefault(release, {})[form.format(old)] = form.format(new)
        codemods = self.package / "blueprints" / "codemods.py"
        text = codemods.read_text("utf-8")
        table = f"Mapping[str, str]] = {self.renames!r}\n"
        codemods.write_text(re.sub(r"Mapping\[str, str\]\] = \{.*\}\n", table, text), "utf-8")

    def migrate(self, name: str, up: str, down: str) -> None:
        """Add a migration of the package."""
        folder = self.package / PLATFORM.folder.relative_to(ROOT / "src" / "backstay")
        number = len(list(folder.glob("0*.py")))
        before, revision = (f"platform_{each:04d}" for each in (number, number + 1))
        text = _MIGRATION.format(name=name, revision=revision, before=before, up=up, down=down)
        (folder / f"{number + 1:04d}_{name}.py").write_text(text, "utf-8")

    def add_feature(self, name: str) -> None:
        """Add a packaged feature."""
        folder = self.package / "features" / name
        folder.mkdir()
        (folder / "__init__.py").write_text(_FEATURE.format(name=name), "utf-8")
        init = self.package / "features" / "__init__.py"
        text = init.read_text("utf-8")
        init.write_text(re.sub(r"(_NAMES = \(.*)\)\n", rf'\1, "{name}")\n', text), "utf-8")

    def replace(self, path: Path, old: str, new: str) -> None:
        """Change what a file of the package has once."""
        self.replace_in(self.package / path, old, new)

    def _add_column(self, column: str) -> None:
        made = f'sa.Column("{column}", sa.String(20), server_default="green", nullable=False)'
        up, down = f'op.add_column("users", {made})', f'op.drop_column("users", "{column}")'
        self.migrate(column, up, down)
        owner = '    __owner__ = "id"\n'
        line = f'    {column}: Mapped[str] = mapped_column(String(20), server_default="green")\n'
        self.replace(Path("features/users/model.py"), owner, f"{owner}{line}")

    def _change_blueprints(self, number: int) -> None:
        """Change a line of what is generated, which the first release adds."""
        for path, place, line in (
            (_ITEMS, "def _shown(", "# counted safely: {}\n"),
            (_QUERIES, "def _shown(", "# counted safely: {}\n"),
            (_README, "`.venv/bin/backstay` lists", "New in {}.\n"),
        ):
            old, new = line.format(number - 1), line.format(number)
            if number == 1:
                old, new = place, f"{new}{place}"
            self.replace(path, old, new)

    def _build(self, release: str) -> None:
        dist = self.folder / f"dist-{release}"
        self.wheels[release] = build(self.source, dist)

    @staticmethod
    def replace_in(path: Path, old: str, new: str) -> None:
        """Change what a file has once."""
        text = path.read_text("utf-8")
        assert text.count(old) == 1, f"{path} has {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new), "utf-8")
