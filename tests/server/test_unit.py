"""Shows that the systemd unit of the guide is valid, and leaves a server the time to stop."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.server.supervisor import PATIENCE
from backstay.settings import ServerSettings
from backstay.testing.waiting import LIMIT

GUIDE = Path(__file__).parents[2] / "docs/guides/production.md"


@pytest.fixture
def unit() -> str:
    found = re.search(r"```ini\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert found
    return found[1]


def test_the_unit_restarts_drains_and_is_not_root(unit: str) -> None:
    told = dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))
    assert told["Restart"] == "always"
    assert told["KillMode"] == "mixed"
    assert told["KillSignal"] == "SIGTERM"
    assert told["User"] != "root"
    fields = ServerSettings.model_fields
    longest = fields["drain_seconds"].default + fields["graceful_timeout"].default + PATIENCE
    assert longest < float(told["TimeoutStopSec"]) < longest + 10
    assert re.search(rf"{PATIENCE:g}: 5 \+ 30 \+ {PATIENCE:g} unless", unit)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_finds_no_fault_in_the_unit(unit: str, tmp_path: Path) -> None:
    there = unit.replace("/opt/backstay/bin/backstay", sys.executable)
    assert there != unit
    (tmp_path / "backstay.service").write_text(there)
    command = ["systemd-analyze", "verify", str(tmp_path / "backstay.service")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")
