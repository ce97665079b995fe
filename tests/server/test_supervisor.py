"""Shows that the supervisor uses little memory and sleeps, and that nothing is left behind."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from backstay.server.run_folder import PREFIX
from backstay.testing.ports import free_port
from backstay.testing.waiting import LIMIT, until
from tests.cli.process import environ, living, none_lives
from tests.server.idle import is_idle, needs_proc, proportional_bytes

SERVED = f"""
import os, pathlib, socket, sys, time
from backstay.server.orphans import follow_parent
follow_parent(os.getppid())
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
pathlib.Path(os.environ["BACKSTAY_RUN"], "started-1").touch()
time.sleep({LIMIT})
"""
SLOW = """
import os, pathlib, socket, sys, time
folder = pathlib.Path(os.environ["BACKSTAY_RUN"])

def wait_for(name):
    while not (folder / name).exists():
        time.sleep(0.01)

(folder / "started-1").touch()
wait_for("started-2")
(folder / "both").touch()
wait_for("listen")
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
connection, _ = listener.accept()
(folder / "received").write_bytes(connection.recv(100))
time.sleep(600)
"""
Supervisor = subprocess.Popen[bytes]


def command(port: int, *served: str, workers: int = 1) -> list[str]:
    """The command of a supervisor that does not drain."""
    module = [sys.executable, "-m", "backstay.server.supervisor", "0", "0"]
    return [*module, str(workers), f"http://127.0.0.1:{port}", sys.executable, "-c", *served]


@contextmanager
def supervising(temporary: Path) -> Iterator[Supervisor]:
    """A supervisor whose run folder is in this folder; its children sleep."""
    variables = {k: v for k, v in environ().items() if not k.startswith("COVERAGE")}
    port = free_port()
    process = subprocess.Popen(
        command(port, SERVED, str(port)), env=variables | {"TMPDIR": str(temporary)}
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(LIMIT)


def kept(temporary: Path) -> set[Path]:
    """The complete run folders."""
    return {found.parent for found in temporary.glob(f"{PREFIX}*/metrics")}


def kill(temporary: Path) -> Path:
    """The folder that a killed supervisor leaves behind."""
    before = kept(temporary)
    with supervising(temporary) as one:
        until(lambda: kept(temporary) - before)
        (left,) = kept(temporary) - before
        one.kill()
        one.wait(LIMIT)
    return left


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    with supervising(tmp_path_factory.mktemp("idle")) as process:
        until(lambda: process.pid in living().values())
        yield process


@needs_proc
def test_an_idle_supervisor_keeps_little_memory_and_is_not_woken(idle: Supervisor) -> None:
    until(lambda: is_idle(idle.pid))
    assert proportional_bytes(idle.pid) < 15 * 2**20


def test_ready_is_printed_when_every_worker_started_and_one_listens(tmp_path: Path) -> None:
    port, printed = free_port(), tmp_path / "out"
    with printed.open("wb") as out:
        process = subprocess.Popen(
            command(port, SLOW, str(port), workers=2),
            env=environ(TMPDIR=str(tmp_path)),
            stdout=out,
        )
    try:
        (folder,) = until(lambda: kept(tmp_path))
        until((folder / "started-1").exists)
        assert printed.read_bytes() == b""
        (folder / "started-2").touch()
        until((folder / "both").exists)
        assert printed.read_bytes() == b""
        (folder / "listen").touch()
        until(printed.read_bytes)
        assert printed.read_text() == f"Ready: http://127.0.0.1:{port}\n"
        until((folder / "received").exists)
        assert (folder / "received").read_bytes() == b""  # no request, which would be logged
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(LIMIT) == 0


@pytest.mark.parametrize("reader", ["none", "gone"])
def test_without_a_reader_of_its_output_the_server_runs_on(tmp_path: Path, reader: str) -> None:
    port = free_port()
    read, write = os.pipe()
    os.close(read)
    closing = ["sh", "-c", 'exec "$@" >&-', "sh"] if reader == "none" else []
    process = subprocess.Popen(
        [*closing, *command(port, SERVED, str(port))],
        env=environ(TMPDIR=str(tmp_path)),
        stdout=write,
    )
    os.close(write)
    try:
        until(lambda: kept(tmp_path))
        until(lambda: is_idle(process.pid))
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(LIMIT) == 0


def test_without_its_folder_a_server_is_still_stopped_in_order(tmp_path: Path) -> None:
    """Cleaners of temporary files may remove the folder after a while."""
    with supervising(tmp_path) as one:
        until(lambda: kept(tmp_path))
        until(lambda: one.pid in living().values())
        (folder,) = kept(tmp_path)
        shutil.rmtree(folder)
        one.terminate()
        assert one.wait(LIMIT) == 0


def test_the_next_start_removes_the_folder_of_a_killed_supervisor(tmp_path: Path) -> None:
    left = kill(tmp_path)
    (left / "metrics" / "counter_1.db").touch()
    assert left.exists()
    with supervising(tmp_path):
        until(lambda: kept(tmp_path) - {left})
        assert left not in kept(tmp_path)
        assert not left.exists()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_living_supervisor_stays(tmp_path: Path) -> None:
    with supervising(tmp_path) as one:
        (first,) = until(lambda: kept(tmp_path))
        os.kill(one.pid, signal.SIGSTOP)  # it lives, though it does nothing
        with supervising(tmp_path):
            until(lambda: len(kept(tmp_path)) == 2)
            assert first in kept(tmp_path)
        os.kill(one.pid, signal.SIGCONT)
        assert one.poll() is None


def test_a_foreign_path_named_like_such_a_folder_stays(tmp_path: Path) -> None:
    theirs, temporary = tmp_path / "theirs", tmp_path / "temporary"
    (theirs / "metrics").mkdir(parents=True)
    temporary.mkdir()
    (temporary / f"{PREFIX}link").symlink_to(theirs)
    (temporary / f"{PREFIX}file").touch()
    os.mkfifo(temporary / f"{PREFIX}pipe")
    (temporary / "another").mkdir()
    strange = set(temporary.iterdir())
    left = kill(temporary)
    (left / "link").symlink_to(theirs)
    with supervising(temporary):
        until(lambda: not left.exists())
    assert set(temporary.iterdir()) == strange
    assert (theirs / "metrics").exists()


def test_concurrent_starts_each_get_a_folder_and_clean_up(
    tmp_path: Path,
) -> None:
    kill(tmp_path)

    def start(_: int) -> None:
        with supervising(tmp_path) as process:
            until(lambda: process.pid in living().values())
            process.terminate()
            assert process.wait(LIMIT) == 0

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(start, range(8)))
    assert list(tmp_path.iterdir()) == []


def test_a_killed_command_ends_the_supervisor_and_leaves_nothing(tmp_path: Path) -> None:
    served = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        command(free_port(), served),
        env=environ(TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "The server ended by itself (code -9).\n"
    assert none_lives({int(done.stdout)})
    assert list(tmp_path.iterdir()) == []
