"""Runs several real processes at the same time."""

import os
import subprocess
from pathlib import Path

from backstay.testing.waiting import LIMIT

SOURCE = Path(__file__).parents[2] / "src"


def run_at_once(
    times: int, command: list[str], cwd: Path | None = None, **variables: str
) -> list[str]:
    """The outputs of processes that run the same command at the same time and must succeed."""
    environ = os.environ | {"PYTHONPATH": str(SOURCE)} | variables
    started = [
        subprocess.Popen(
            command, cwd=cwd, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(times)
    ]
    ended = [(*process.communicate(timeout=LIMIT), process.returncode) for process in started]
    assert [(error[-2000:], code) for _, error, code in ended] == [("", 0)] * times
    return [output for output, _, _ in ended]
