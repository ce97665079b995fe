"""A made-up next version of the package: a migration adds a column and a table."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from backstay import __version__
from backstay.db.migrations.runner import PLATFORM
from tests.architecture.tree import ROOT
from tests.upgrades.environments import build

VERSION = "99.0.0"
_MIGRATION = '''"""Users have a colour, and there are badges."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    colour = sa.Column("colour", sa.String(20), server_default="green", nullable=False)
    op.add_column("users", colour)
    key = sa.PrimaryKeyConstraint("id", name="pk_badges")
    op.create_table("badges", sa.Column("id", sa.Uuid(), nullable=False), key)


def downgrade() -> None:
    op.drop_table("badges")
    op.drop_column("users", "colour")
'''
_OWNER = '    __owner__ = "id"\n'
_COLUMN = '    colour: Mapped[str] = mapped_column(String(20), server_default="green")\n'
_TABLE = '''

class Badge(Base):
    """A badge."""

    __tablename__ = "badges"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
'''
_IMPORTS = "from uuid import UUID\nfrom sqlalchemy import Uuid\nfrom backstay.db.base import Base\n"


@dataclass(frozen=True)
class NextVersion:
    """The wheel of the next version, and the migration that it adds."""

    wheel: Path
    revision: str


def next_version(folder: Path) -> NextVersion:
    """Build the next version from a copy of this one."""
    folder.mkdir()
    for name in ("src", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    package = folder / "src" / "backstay"
    _replace(
        package / "__init__.py", f'__version__ = "{__version__}"', f'__version__ = "{VERSION}"'
    )
    model = package / "features" / "users" / "model.py"
    _replace(model, _OWNER, f"{_OWNER}{_COLUMN}")
    _replace(model, "from sqlalchemy import", f"{_IMPORTS}from sqlalchemy import")
    model.write_text(model.read_text("utf-8") + _TABLE, "utf-8")
    number = len(list(PLATFORM.folder.glob("0*.py")))
    before, revision = (f"platform_{each:04d}" for each in (number, number + 1))
    migration = package / PLATFORM.folder.relative_to(ROOT / "src" / "backstay")
    text = _MIGRATION.format(revision=revision, before=before)
    (migration / f"{number + 1:04d}_badges.py").write_text(text, "utf-8")
    return NextVersion(build(folder, folder / "dist"), revision)


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert text.count(old) == 1, f"{path} has {old!r} {text.count(old)} times"
    path.write_text(text.replace(old, new), "utf-8")
