"""The guide "Build on it" works as it is written, in a folder that holds nothing else."""

import os
import re
import subprocess
import sys
from pathlib import Path

from backstay.testing.waiting import LIMIT
from tests.architecture.tree import ROOT

GUIDE = (ROOT / "docs" / "guides" / "build-on-it.md").read_text("utf-8")
FILE = re.compile(r"^`([^`\n]+)`\n\n```(?:python|toml)\n(.*?)^```", re.DOTALL | re.M)


def run(folder: Path, *arguments: str) -> str:
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT / "src"),
        "COLUMNS": "200",
    }
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_following_the_guide_gives_a_working_project(tmp_path: Path) -> None:
    files = dict(FILE.findall(GUIDE))
    assert len(files) == GUIDE.count("```python") + GUIDE.count("```toml")
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    below = tmp_path / "src" / "shop"

    assert "/api/v1/notes" in run(below, "backstay", "routes")
    written = run(tmp_path, "backstay", "db", "revision", "notes")
    assert Path(written.strip()) == below / "migrations" / "0001_notes.py"
    assert "Applied shop_0001." in run(tmp_path, "backstay", "db", "upgrade")
    assert "The database is current." in run(tmp_path, "backstay", "db", "check")
    assert "clerk" in run(tmp_path, "backstay", "roles")
    assert "1 passed" in run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider")
