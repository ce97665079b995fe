"""Runs granian's parent with workers that ask to be replaced; a file forbids new ones to start.

Each worker answers with its pid, and asks for its replacement after two requests.
"""

import multiprocessing
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces

from backstay.core.runtime_dir import FOLDER, STARTED
from backstay.server.closing import LEAVE, leave
from backstay.server.granian_parent import Granian
from backstay.server.worker import REPLACE, DrainingApp, ask_for_replacement

FORBIDDEN, FAILED = "forbidden", "failed-"


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


def load() -> DrainingApp:
    """The application of one worker."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {REPLACE})
    signal.signal(LEAVE, leave)
    folder = Path(os.environ[FOLDER])
    if (folder / FORBIDDEN).exists():
        (folder / f"{FAILED}{os.getpid()}").touch()
        sys.exit(3)
    started = (folder / f"{STARTED}{os.getpid()}").touch
    return DrainingApp(_answer, 2, started, partial(ask_for_replacement, folder, os.getppid()))


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {REPLACE})
    multiprocessing.set_start_method("spawn")
    Granian(
        "tests",
        "127.0.0.1",
        int(sys.argv[1]),
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        workers_kill_timeout=5,
        respawn_failed_workers=True,
        log_enabled=False,
    ).serve(target_loader=load, wrap_loader=False)
