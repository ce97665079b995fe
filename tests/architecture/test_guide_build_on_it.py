"""The guide "Build on it" works as it is written, in a folder that holds nothing else."""

from pathlib import Path

from tests.guides import page, run, write


def test_following_the_guide_gives_a_working_project(tmp_path: Path) -> None:
    write(tmp_path, page("build-on-it"))
    below = tmp_path / "src" / "shop"

    assert "/api/v1/notes" in run(below, "backstay", "routes")
    written = run(tmp_path, "backstay", "db", "revision", "notes")
    assert Path(written.strip()) == below / "migrations" / "0001_notes.py"
    assert "Applied shop_0001." in run(tmp_path, "backstay", "db", "upgrade")
    assert "The database is current." in run(tmp_path, "backstay", "db", "check")
    assert "clerk" in run(tmp_path, "backstay", "roles")
    assert "1 passed" in run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider")
