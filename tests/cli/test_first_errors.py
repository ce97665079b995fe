"""Shows that what fails before there is an application is in the log, too, as events."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.testing.waiting import LIMIT

TAKE_OVER = """
from backstay.server.worker import end_in_the_log
from backstay.core.wiring import BootError, Code, Flaw
from backstay.settings.groups import LogSettings

def fault(problem):
    return Flaw(Code.ROUTE_TWICE, problem, "Remove one.").of(fault)

with end_in_the_log(LogSettings(format="json")):
    {fails}
{after}
"""


def events_of(fails: str, after: str = "") -> tuple[int, list[dict[str, str]]]:
    ran = subprocess.run(
        [sys.executable, "-c", TAKE_OVER.format(fails=fails, after=after)],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert ran.stdout == ""
    return ran.returncode, [json.loads(line) for line in ran.stderr.splitlines()]


def test_each_fault_of_the_wiring_is_an_event_without_traceback() -> None:
    code, events = events_of('raise BootError([fault("Here."), fault("There.")])')
    assert code == 3
    assert ["Here." in events[0]["event"], "There." in events[1]["event"]] == [True, True]
    assert not any("exception" in event for event in events)


def test_an_unexpected_error_is_logged_with_its_traceback() -> None:
    code, (event,) = events_of('raise LookupError("no such thing")')
    assert (code, event["reason"]) == (3, "LookupError: no such thing")
    assert "Traceback" in event["exception"]


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ('raise LookupError("no such thing")', ["the process ends by an error"]),
        (
            "import threading\n"
            "def fail(): raise LookupError\n"
            "thread = threading.Thread(target=fail); thread.start(); thread.join()",
            ["a thread ended by an error"],
        ),
    ],
)
def test_an_uncaught_error_is_logged_as_an_event(after: str, told: list[str]) -> None:
    _, events = events_of("pass", after)
    assert [event["event"] for event in events] == told


def test_an_application_that_is_no_longer_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "gone_wrong.py").write_text("application = None\n")
    program = "import os; from backstay.server.worker import application; application(os.getppid())"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"BACKSTAY_APP": "gone_wrong:application", "LOG_FORMAT": "json"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    (line,) = ran.stderr.splitlines()
    assert (ran.returncode, "is no Application" in json.loads(line)["event"]) == (3, True)
