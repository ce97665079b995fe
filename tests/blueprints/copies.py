"""Runs tests of the packaged features on copies, as a project has them that ejected every one.

``python -m tests.blueprints.copies [ARGUMENTS OF PYTEST]`` runs all tests of features.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from backstay.blueprints.ejecting import render_ejected
from backstay.settings.ejected import FEATURES
from tests.architecture.tree import ROOT

ALL = ("access", "auth", "items", "mail", "rate_rules", "system", "tasks", "tiers", "users")
_INIT = """\
import sys
from pathlib import Path


def pytest_sessionfinish():
    home = Path(__file__).parent / "ejected" / "backstay" / "features"
    for name in {names!r}:
        loaded = sys.modules.get(f"backstay.features.{{name}}")
        assert loaded is None or Path(loaded.__file__).is_relative_to(home), loaded
"""


def on_copies(
    folder: Path, *arguments: str, features: Sequence[str] = ALL
) -> "subprocess.CompletedProcess[bytes]":
    """Run pytest with the package `own` loaded, which has copies of these features."""
    options = {"package": "own", "folder": "own", "templates": "own/templates"}
    for feature in features:
        for path, text in render_ejected(feature, options).items():
            if FEATURES in path:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text, "utf-8")
    (folder / "own" / "__init__.py").write_text(_INIT.format(names=tuple(features)))
    paths = os.pathsep.join((str(folder), str(ROOT / "src")))
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "own", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env={**outside, "PYTHONPATH": paths},
        check=False,
    )


if __name__ == "__main__":
    with TemporaryDirectory() as made:
        ended = on_copies(Path(made), *(sys.argv[1:] or ("-n", "auto", "tests/features")))
    sys.exit(ended.returncode)
