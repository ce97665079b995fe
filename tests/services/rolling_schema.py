"""Writes the migrations of a release: the one of number n has n of them that add a table each."""

import re
import sys
from pathlib import Path

MIGRATION = '''"""A table more."""

from alembic import op

revision = "rolling_{number:04}"
down_revision = {before!r}
branch_labels = {labels!r}
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE rolling_{number} (id integer)")


def downgrade() -> None:
    op.execute("DROP TABLE rolling_{number}")
'''


def write(folder: Path, release: str) -> None:
    """Write the migrations until that of the release."""
    found = re.search(r"\d+", release)
    assert found
    for number in range(int(found[0]) + 1):
        before = f"rolling_{number - 1:04}" if number else None
        labels = None if number else ("rolling",)
        text = MIGRATION.format(number=number, before=before, labels=labels)
        (folder / f"{number:04}_more.py").write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2])
