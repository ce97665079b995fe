"""Invents releases of the package: each in a copy of `src` changes what releases change."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from backstay import __version__
from backstay.db.migrations.runner import PLATFORM
from tests.architecture.tree import ROOT
from tests.upgrades.environments import build

PARTS = ("src", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")
_MIGRATION = '''"""Users have another column."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("{column}", sa.String(20), server_default="green", nullable=False)
    op.add_column("users", column)


def downgrade() -> None:
    op.drop_column("users", "{column}")
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
    """

    folder: Path
    wheels: dict[str, Path] = field(default_factory=dict)
    name: str = "TagContext"

    def __post_init__(self) -> None:
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, self.source / part)
        self._forget_unreleased()
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

    def release(self, *, clash: str = "") -> str:
        """Invent the next release; its number."""
        number = len(self.wheels)
        old, new = self.newest, f"{int(__version__.split('.')[0])}.{1 + number}.0"
        self._rename(new, f"TagContext{number}")
        self._add_column(f"colour_{number}")
        self._change_blueprints(number)
        entries = [f"### Changed\n- `{self.name}` is what it is called now."]
        entries.append(
            f"### Security\n- Rows are counted ({number}): `entity:*/queries.py`,\n"
            "  `eject:*/items/queries.py`."
        )
        if clash:
            self._add_feature(clash)
        text = f"## [Unreleased]\n\n## [{new}] - 2027-01-{number:02}\n\n" + "\n\n".join(entries)
        self._replace(self.source / "CHANGELOG.md", "## [Unreleased]\n", f"{text}\n")
        init = self.package / "__init__.py"
        self._replace(init, f'__version__ = "{old}"', f'__version__ = "{new}"')
        self._build(new)
        return new

    def _rename(self, release: str, new: str) -> None:
        for path in self.package.rglob("*.py*"):
            if path.suffix in {".py", ".pyi", ".jinja"}:
                text = path.read_text("utf-8")
                if self.name in text and path.name != "codemods.py":
                    path.write_text(text.replace(self.name, new), "utf-8")
        codemods = self.package / "blueprints" / "codemods.py"
        entry = f'"{release}": {{"backstay.{self.name}": "backstay.{new}"}}, '
        self._replace(codemods, "Mapping[str, str]] = {", f"Mapping[str, str]] = {{{entry}")
        self.name = new

    def _add_column(self, column: str) -> None:
        folder = self.package / PLATFORM.folder.relative_to(ROOT / "src" / "backstay")
        number = len(list(folder.glob("0*.py")))
        before, revision = (f"platform_{each:04d}" for each in (number, number + 1))
        text = _MIGRATION.format(revision=revision, before=before, column=column)
        (folder / f"{number + 1:04d}_{column}.py").write_text(text, "utf-8")
        owner = '    __owner__ = "id"\n'
        line = f'    {column}: Mapped[str] = mapped_column(String(20), server_default="green")\n'
        self._replace(self.package / "features/users/model.py", owner, f"{owner}{line}")

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
            self._replace(self.package / path, old, new)

    def _add_feature(self, name: str) -> None:
        folder = self.package / "features" / name
        folder.mkdir()
        (folder / "__init__.py").write_text(_FEATURE.format(name=name), "utf-8")
        init = self.package / "features" / "__init__.py"
        last = '"system", "items", "tasks"'
        self._replace(init, f"{last})", f'{last}, "{name}")')

    def _build(self, release: str) -> None:
        dist = self.folder / f"dist-{release}"
        self.wheels[release] = build(self.source, dist)

    @staticmethod
    def _replace(path: Path, old: str, new: str) -> None:
        text = path.read_text("utf-8")
        assert text.count(old) == 1, f"{path} has {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new), "utf-8")
