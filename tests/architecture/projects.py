"""Makes projects of guides, and runs commands in them."""

import os
import re
import subprocess
import sys
from pathlib import Path

from backstay.testing.waiting import LIMIT
from tests.architecture.tree import ROOT

FILE = re.compile(r"^`([^`\n]+)`\n\n```(?:python|toml)\n(.*?)^```", re.DOTALL | re.M)


def follow(folder: Path, *guides: str) -> None:
    """Write every file of the guides; one of a later guide replaces that of an earlier one."""
    for guide in guides:
        page = (ROOT / "docs" / "guides" / f"{guide}.md").read_text("utf-8")
        files = dict(FILE.findall(page))
        assert len(files) == page.count("```python") + page.count("```toml")
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)


def run(folder: Path, *arguments: str, **variables: str) -> str:
    """What a command of a module of Python prints; it succeeds."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT / "src"),
        "COLUMNS": "200",
        **variables,
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
