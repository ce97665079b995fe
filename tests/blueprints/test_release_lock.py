"""Shows that what `release.sh` starts, and leaves running, does not keep the next one out."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.blueprints.deploying import DeployOptions, render_deploy
from backstay.testing.waiting import LIMIT

CONF = """\
FOLDER={folder}
SERVERS=8001
WORKERS=
UPSTREAM=
START=start
STOP=true
RUNS=true
LOG=true
MIGRATE=true
start() {{ sleep 600 & echo $! >> {folder}/started; }}
curl() {{ echo '"version":"1"'; }}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "releases/1").mkdir(parents=True)
    (tmp_path / "releases/1/release.env").write_text("APP_VERSION=1\n")
    (tmp_path / "release.conf").write_text(CONF.format(folder=tmp_path))
    script = render_deploy(DeployOptions(name="shop"))["deploy/release.sh"]
    (tmp_path / "release.sh").write_text(script)
    yield tmp_path
    for pid in (tmp_path / "started").read_text().split():
        os.kill(int(pid), signal.SIGKILL)


def test_a_process_that_stays_does_not_hold_the_lock(folder: Path) -> None:
    for _ in range(2):
        subprocess.run(
            ["sh", folder / "release.sh", "deploy", "1"],
            env={**os.environ, "RELEASE_CONF": str(folder / "release.conf")},
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=LIMIT,
        )
