"""Shows that polling is noticed, and that the log thread does not poll for lines."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backstay.testing.waiting import until
from tests.cli.process import environ
from tests.server.idle import is_idle, needs_proc

pytestmark = needs_proc
LOGGING = """
import sys, time
from backstay.observability.log_files import LogFiles

files = LogFiles(sys.argv[1])
assert files.start() is None
files.server({"event": "one"})
print(flush=True)
sys.stdin.readline()
files.server({"event": "another"})
sys.stdin.readline()
files.stop()
"""
LOOKING = """
import time

print(flush=True)
while True:
    time.sleep(1)
"""


@contextmanager
def running(program: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A running process."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env=environ(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def test_a_process_that_polls_every_second_is_not_idle() -> None:
    with running(LOOKING) as process:
        assert not is_idle(process.pid)


def test_log_lines_are_written_promptly_without_polling(tmp_path: Path) -> None:
    def lines() -> int:
        return (tmp_path / "server.log").read_text().count("\n")

    with running(LOGGING, str(tmp_path)) as process:
        assert process.stdin is not None
        until(lambda: lines() == 1)
        until(lambda: is_idle(process.pid))
        process.stdin.write("\n")
        until(lambda: lines() == 2)
        process.stdin.write("\n")
        assert process.wait() == 0
