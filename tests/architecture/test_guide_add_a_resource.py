"""The guide "Add a resource by hand" works as it is written, with the counts that it promises."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from backstay.testing import Templates
from backstay.testing.waiting import LIMIT

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "add-a-resource.md"
FILE = re.compile(r"`((?:src|tests)/[^`]+\.py)`\n\n```python\n(.*?)```", re.DOTALL)
COPIED = ("src", "tests", "pyproject.toml")


def _follow(guide: str, project: Path) -> list[Path]:
    """Write every file of the guide, add its one line, and return the files."""
    written = []
    for name, content in FILE.findall(guide):
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        written.append(path)
    contents = project / "src" / "backstay" / "features" / "__init__.py"
    line = re.search(r"below `(.+?)`:\n\n```text\n(.*?)```", guide, re.DOTALL)
    assert line is not None
    before = contents.read_text()
    contents.write_text(before.replace(line[1] + "\n", line[1] + "\n" + line[2]))
    assert len(contents.read_text().splitlines()) == len(before.splitlines()) + 1
    return written


def _run(project: Path, *arguments: str) -> str:
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(project),
        "PYTHONPATH": str(project / "src"),
        "DATABASE_URL": f"sqlite:///{project}/guide.db",
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_following_the_guide_gives_a_working_resource(templates: Templates, tmp_path: Path) -> None:
    templates.copy("sqlite", tmp_path, "guide.db")  # what the guide starts from
    for name in COPIED:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    written = _follow(GUIDE.read_text(), tmp_path)
    sources = [path for path in written if "src" in path.relative_to(tmp_path).parts]
    assert (len(sources), len(written)) == (6, 7)

    versions = tmp_path / "src" / "backstay" / "db" / "migrations" / "versions"
    before = set(versions.glob("*.py"))
    _run(tmp_path, "-m", "backstay", "db", "revision", "rigs")
    assert len(set(versions.glob("*.py")) - before) == 1
    _run(tmp_path, "-m", "backstay", "db", "upgrade")
    assert "/api/v1/rigs/{id}" in _run(tmp_path, "-m", "backstay", "routes")

    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "sqlite"]
    assert "1 passed" in _run(tmp_path, *tests, "tests/features/rigs")
