"""Shows that a child process sleeps until its parent has ended, and then ends."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from backstay.testing.waiting import LIMIT, until
from tests.cli.process import environ, living, none_lives
from tests.server.idle import is_idle, needs_proc

CHILD = """
import os, sys, time
from backstay.server import orphans

if sys.argv[1] == "as elsewhere":
    def cannot_tell(parent):
        raise OSError
    orphans._sleep_until_end = cannot_tell
orphans.follow_parent(int(sys.argv[2]))
print(os.getpid(), flush=True)
time.sleep(float(sys.argv[3]))
"""
PARENT = """
import os, subprocess, sys

child, where, seconds = sys.argv[1:]
subprocess.run([sys.executable, "-c", child, where, str(os.getpid()), seconds])
"""


@contextmanager
def followed(where: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A parent process, and the pid of its child."""
    command = [sys.executable, "-c", PARENT, CHILD, where, str(LIMIT)]
    with subprocess.Popen(command, env=environ(), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        try:
            yield parent, int(parent.stdout.readline())
        finally:
            parent.kill()


@needs_proc
def test_a_child_is_not_woken_while_its_parent_lives() -> None:
    with followed("as here") as (parent, child):
        until(lambda: is_idle(child))
        parent.kill()
        assert none_lives({child})


@pytest.mark.parametrize("where", ["as here", "as elsewhere"])
def test_a_child_ends_soon_after_its_parent_is_killed(where: str) -> None:
    with followed(where) as (parent, child):
        assert child in living()
        parent.kill()
        parent.wait(LIMIT)
        assert none_lives({child})


@pytest.mark.parametrize("where", ["as here", "as elsewhere"])
def test_a_child_whose_parent_has_already_ended_ends_at_once(where: str) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as before:
        pass
    command = [sys.executable, "-c", CHILD, where, str(before.pid), str(LIMIT)]
    done = subprocess.run(command, env=environ(), capture_output=True, timeout=LIMIT, check=False)
    assert done.returncode == -signal.SIGTERM
