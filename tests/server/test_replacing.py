"""Shows that a worker serves until its replacement does."""

import subprocess
import sys
from pathlib import Path

import httpx

from backstay.core.runtime_dir import FOLDER, STARTED
from backstay.testing.ports import free_port
from backstay.testing.waiting import LIMIT, until
from tests.cli.process import SOURCE, environ
from tests.server.replacing import FAILED, FORBIDDEN


def test_a_worker_keeps_serving_until_its_replacement_can_start(tmp_path: Path) -> None:
    """The database may be unreachable at that moment: otherwise the server would end for good."""
    port = free_port()
    variables = environ(**{FOLDER: str(tmp_path)})
    variables["PYTHONPATH"] += f":{SOURCE.parent}"
    command = [sys.executable, "-m", "tests.server.replacing", str(port)]

    def answered() -> str:
        try:
            return httpx.get(f"http://127.0.0.1:{port}", timeout=LIMIT).text
        except httpx.TransportError:
            return ""

    def failed_twice_while_it_serves() -> bool:
        assert answered() == first
        return len(list(tmp_path.glob(f"{FAILED}*"))) > 1

    with subprocess.Popen(command, env=variables) as parent:
        try:
            until(lambda: bool(list(tmp_path.glob(f"{STARTED}*"))))
            (tmp_path / FORBIDDEN).touch()
            first = answered()
            until(failed_twice_while_it_serves)
            (tmp_path / FORBIDDEN).unlink()
            until(lambda: answered() not in {first, ""})
            assert parent.poll() is None
        finally:
            parent.terminate()
