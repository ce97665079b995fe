"""Shows that the checking process becomes the supervisor, and loses no signal on the way."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.testing.waiting import LIMIT
from tests.cli.process import environ

PROGRAM = """
import os, signal, sys
from backstay.server.supervisor import become_supervisor

turn = os.execv

number = int(sys.argv[1])
signal.signal(number, signal.SIG_DFL)  # whoever runs tests may ignore it, as nohup does

def hurried(*arguments):
    os.kill(os.getpid(), number)
    turn(*arguments)

os.execv = hurried
print(os.getpid())
served = '''
import os, sys, time
from backstay.server.orphans import follow_parent

follow_parent(int(sys.argv[1]))
print(os.getppid(), flush=True)
time.sleep(float(sys.argv[2]))
'''
command = [sys.executable, "-c", served, str(os.getpid()), sys.argv[2]]
url = "http://127.0.0.1:1"  # where nobody listens
become_supervisor(command, drain_seconds=0, graceful_seconds=0, workers=1, url=url)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_before_the_supervisor_is_ready_stops_it(
    tmp_path: Path, number: signal.Signals
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(int(number)), str(LIMIT)],
        cwd=tmp_path,
        env=environ(),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    before, *after = done.stdout.split()
    assert after in ([], [before])  # the server was stopped before or after it could say a word
