"""Every guide that shows code works as it is written, all of them in one project."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT
from tests.guides import files_of, page, run, steps_of, write

FOLLOWED = (
    "build-on-it",
    "add-a-resource",
    "background-work",
    "caching-and-limits",
    "extend-the-user",
    "mail",
    "streams-and-uploads",
    "roles",
)
CHECKS = ROOT / "tests" / "in_project"
BACKFILL = '    op.execute("INSERT INTO contacts (user_id) SELECT id FROM users")'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project that whoever follows every guide has in the end, with its one migration."""
    folder = tmp_path_factory.mktemp("project")
    for name in FOLLOWED:
        write(folder, page(name))
    for check in CHECKS.glob("[a-z]*.py"):
        shutil.copy(check, folder / "tests" / f"test_guide_{check.name}")
    (folder / "tests" / "steps.txt").write_text(steps_of(page("roles")))
    run(folder, "backstay", "db", "revision", "everything")
    yield folder
    shutil.rmtree(folder)


def test_the_webhook_of_the_guide_is_that_of_the_example() -> None:
    shop = ROOT / "examples" / "shop" / "src" / "shop"
    sources = [shop / "routers.py", shop / "features" / "payments" / "messages.py"]
    blocks = re.findall(r"^```py\n(.*?)^```", page("streams-and-uploads"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == len(sources)
    for block, source in zip(blocks, sources, strict=True):
        assert block in source.read_text("utf-8")


def test_a_resource_by_hand_takes_six_files_and_one_test() -> None:
    names = list(files_of(page("add-a-resource")))
    sources = [name for name in names if name.startswith("src/shop/features/reviews/")]
    assert (len(sources), len(names)) == (6, 7)


def test_the_guides_work_together_in_one_project(project: Path) -> None:
    (migration,) = (project / "src" / "shop" / "migrations").glob("*.py")
    assert BACKFILL in page("extend-the-user")
    written = migration.read_text()
    above, below = written.split("\n\n\ndef downgrade")
    migration.write_text(f"{above}\n{BACKFILL}\n\n\ndef downgrade{below}")
    run(project, "backstay", "db", "upgrade")
    assert "/api/v1/reviews/{id}/restore" in run(project, "backstay", "routes")
    table = run(project, "backstay", "roles")
    for line in ("PERMISSION", "level", "reviews:hide", "reviews:list"):
        (shown,) = [each for each in page("roles").splitlines() if each.startswith(line)]
        assert shown.split() in [each.split() for each in table.splitlines()]
    shown = run(project, "backstay", "config")
    assert "mail: receipt\n" in shown
    assert "in place of packaged ones: layout.html, verify_email.txt\n" in shown
    passed = run(project, "pytest", "-q", "-p", "no:cacheprovider")
    count = sum(path.read_text().count("async def test_") for path in project.rglob("test_*.py"))
    assert f"{count} passed" in passed
