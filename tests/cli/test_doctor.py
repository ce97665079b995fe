"""Shows what `doctor` says of a project that is well, and of what is wrong with one."""

import json
from pathlib import Path

import pytest

from tests.cli.process import run

ROWS = {"settings", "application", "database", "cache", "queue", "generated files"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with its database."""
    folder = tmp_path_factory.mktemp("doctor")
    assert run(folder, "new", "shop", "--bare").code == 0
    assert run(folder / "shop", "db", "upgrade").code == 0
    return folder / "shop"


def test_a_project_that_is_well_is_told_so(shop: Path) -> None:
    done = run(shop, "doctor")
    assert done.code == 0, done.output
    told = dict(line.rsplit("  ", 1) for line in done.output.splitlines())
    assert {name.strip() for name in told} >= ROWS
    assert set(told.values()) == {"ok"}


def test_what_is_wrong_is_told_with_what_to_do(shop: Path) -> None:
    faulty = run(shop, "doctor", SERVER_PORT="x")
    assert faulty.code == 1
    assert "SERVER_PORT: should be a valid integer" in faulty.output
    empty = run(shop, "doctor", "--json", DB_URL="sqlite:///./other.db")
    assert empty.code == 1
    found = {each["check"]: each["problems"] for each in json.loads(empty.output)}
    assert found["database"] == ["There is no database yet: run `backstay db upgrade`."]
    assert found["settings"] == []
    assert not (shop / "other.db").exists()


def test_open_conflicts_and_older_releases_are_told(shop: Path) -> None:
    [record] = (shop / ".blueprints" / "records").glob("*.json")
    text = record.read_text()
    record.write_text(text[:-9])
    broken = run(shop, "doctor")
    assert broken.code == 1
    assert "cannot be read" in broken.output
    record.write_text(json.dumps(json.loads(text) | {"release": "0.0.1"}))
    (shop / "README.md.conflict").write_text("<<<<<<<\n")
    application = shop / "src" / "shop" / "application.py"
    code = application.read_text()
    application.write_text(f"from backstay import Gone\n{code}")  # as with a newer release
    told = run(shop, "doctor")
    (shop / "README.md.conflict").unlink()
    record.write_text(text)
    application.write_text(code)
    assert told.code == 1
    assert "cannot import name 'Gone'" in told.output
    assert "README.md.conflict has conflicts of an earlier command" in told.output
    assert "What 0.0.1 wrote is not up to date. Run: backstay upgrade" in told.output
