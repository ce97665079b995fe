"""Runs a server process, and stops it when the process that started it ends, in whatever way.

The owner holds the write end of this program's standard input and never writes to it. When that
closes (on purpose, or because the owner was killed) the server is stopped and its folder removed.
Arguments: the folder, uid and gid to run as (-1: the present ones), the signal to stop, a command.
"""

import contextlib
import shutil
import signal
import subprocess
import sys
import threading

PATIENCE = 10.0  # seconds between the polite signal and SIGKILL


def main(folder: str, uid: int, gid: int, stop_signal: int, command: list[str]) -> int:
    """Return the server's exit code, after its folder is gone."""
    server = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        user=None if uid < 0 else uid,
        group=None if gid < 0 else gid,
        extra_groups=None if uid < 0 else (),
    )
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)

    def stop_with_owner() -> None:
        sys.stdin.buffer.read()
        server.send_signal(stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(PATIENCE)
            return
        server.kill()

    threading.Thread(target=stop_with_owner, daemon=True).start()
    code = server.wait()
    shutil.rmtree(folder, ignore_errors=True)
    return code


if __name__ == "__main__":
    _, folder, uid, gid, number, *command = sys.argv
    sys.exit(main(folder, int(uid), int(gid), int(number), command))
