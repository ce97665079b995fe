"""Kills `backstay upgrade` at random moments; ``make upgrades`` does so, and nothing else."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from backstay import __version__
from backstay.blueprints.journal import unfinished
from tests.cli.process import environ
from tests.upgrades.environments import ALONE
from tests.upgrades.grown import Grown, begun
from tests.upgrades.invented import Releases

KILLS = 12 * ("UPGRADES" in os.environ)


@pytest.mark.skipif(not KILLS, reason="make upgrades does it")
def test_a_killed_upgrade_is_finished_or_undone(tmp_path: Path) -> None:
    releases = Releases(tmp_path / "releases")
    old = releases.wheels[__version__]
    project = begun(tmp_path / "project", old, "shop", "--bare")
    new = releases.wheels[releases.release()]
    start = time.monotonic()
    project.upgrade(new, "--skip-tests")
    took = time.monotonic() - start
    after = _files(project)
    _reset(project, old)
    before = _files(project)
    ways: Counter[str] = Counter()
    for seed in range(KILLS):
        _kill(project, new, took * random.Random(seed).uniform(0.1, 1.1))
        ways[_recovered(project, before, after, seed)] += 1
        _reset(project, old)
    print(dict(ways))


def _kill(project: Grown, wheel: Path, seconds: float) -> None:
    """Kill the command, and the installers that it has started, after so long."""
    with subprocess.Popen(
        [*project.environment.backstay, "upgrade", "--to", str(wheel), "--skip-tests"],
        cwd=project.root,
        env=environ(**ALONE),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _recovered(project: Grown, before: dict[str, str], after: dict[str, str], seed: int) -> str:
    """Which way the project got out of what the killed command left."""
    if not unfinished(project.root):
        found = _files(project)
        assert found in (before, after), seed
        return "as before" if found == before else "as after"
    way, expected = (("--continue", after), ("--abort", before))[seed % 2]
    project.call("upgrade", way)
    assert _files(project) == expected, seed
    return way


def _files(project: Grown) -> dict[str, str]:
    """The texts of the project, as git would take them."""
    paths = project.git("ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    return {path: project.text(path) for path in paths if (project.root / path).exists()}


def _reset(project: Grown, wheel: Path) -> None:
    project.git("checkout", "--quiet", ".")
    project.git("clean", "--quiet", "-fd")
    project.environment.install(wheel)
