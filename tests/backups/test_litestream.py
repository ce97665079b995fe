"""Shows that Litestream, as deploy/ configures it, brings back all that it had copied."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backstay.backups import sqlite
from backstay.backups.making import untold
from backstay.backups.manifest import Table
from backstay.backups.pipes import Stop
from backstay.core.backups import BackupError
from backstay.testing.waiting import until
from tests.architecture.tree import ROOT
from tests.backups.rigs import Place
from tests.services.seaweed import BUCKET, SeaweedServer

PROGRAM = Path(sys.executable).with_name("litestream")
CONFIG = ROOT / "deploy" / "litestream" / "litestream.yml"
pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="litestream is for Linux")


@contextmanager
def _replicating(environ: dict[str, str]) -> Iterator[None]:
    """Litestream at work, which is killed in the end."""
    running = subprocess.Popen(
        [PROGRAM, "replicate", "-config", CONFIG],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_litestream_brings_back_what_it_copied(
    on_file: Place, kind: str, request: pytest.FixtureRequest
) -> None:
    file = Path(on_file.url.removeprefix("sqlite:///"))
    environ = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}
    environ |= {"LITESTREAM_DB": str(file)}
    environ |= {"LITESTREAM_REPLICA": f"file://{on_file.folder / 'replica'}"}
    if kind == "bucket":
        server: SeaweedServer = request.getfixturevalue("bucket_server")
        address = server.variables["AWS_ENDPOINT_URL"]
        environ |= server.variables
        environ |= {"LITESTREAM_REPLICA": f"s3://{BUCKET}/stream?endpoint={address}"}
    with _replicating(environ):
        for number in range(20):
            on_file.run(f"UPDATE users SET name = 'number {number}'")
        restored = until(lambda: _restored(file, environ, "number 19"))
        on_file.proven()
        with pytest.raises(BackupError, match="is in use"):
            on_file.restore()
    assert restored is not None
    own = {name: table for name, table in _tables(file).items() if "litestream" not in name}
    its = {name: table for name, table in _tables(restored).items() if "litestream" not in name}
    assert its == own
    assert list(sqlite.faults(restored, Stop(), untold)) == []


def _restored(file: Path, environ: dict[str, str], name: str) -> Path | None:
    """What Litestream restores, once that has the last change."""
    target = file.with_name("restored.db")
    for each in file.parent.glob("restored.db*"):
        each.unlink()
    command = [str(PROGRAM), "restore", "-config", str(CONFIG), "-o", str(target), str(file)]
    if subprocess.run(command, env=environ, capture_output=True, check=False).returncode:
        return None
    place = Place(file.parent, f"sqlite:///{target}", {})
    return target if place.run("SELECT name FROM users") == [(name,)] else None


def _tables(file: Path) -> dict[str, Table]:
    return sqlite.describe(file, "backstay.db", Stop(), untold)[1]
