"""The application as one worker runs it: before the worker ends, it sends its clients elsewhere."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import parent_process
from pathlib import Path
from typing import TYPE_CHECKING

from backstay.core.runtime_dir import FOLDER, is_draining
from backstay.core.startup import hurry_imports, without_extras
from backstay.server.closing import LEAVE, leave
from backstay.server.orphans import follow_parent

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


LEAVING_SECONDS = 2.0
"""How long a worker that has served its number of requests closes connections before it ends."""
REPLACE = signal.SIGUSR1
"""Tells the process that started a worker that one has left word."""
STARTED = "started-"
"""What the name of a file begins with that a worker leaves once it serves; its id follows."""
_GLANCE = 0.1
_CLOSE = (b"connection", b"close")


def application(parent: int | None = None) -> "DrainingApp":
    """The application of one worker, which is imported here and nowhere else.

    ``parent`` is the id of the process that started the worker, where it was not spawned.
    """
    hurry_imports()
    with without_extras():
        from backstay.composition.logs import end_in_the_log
        from backstay.main import create_app
        from backstay.settings import load_settings

    signal.pthread_sigmask(signal.SIG_UNBLOCK, {REPLACE})  # granian's parent has it blocked
    parent = parent or _spawned_by()
    follow_parent(parent)
    signal.signal(LEAVE, leave)
    settings = load_settings()
    with end_in_the_log(settings.log):
        app = create_app(settings)
    folder = Path(os.environ[FOLDER])
    ask = partial(ask_for_replacement, folder, parent)
    retire = ask if settings.server.type == "granian" else end_soon
    started = partial(_leave_word, folder / f"{STARTED}{os.getpid()}")
    return DrainingApp(app, settings.server.max_requests, started, retire)


def _spawned_by() -> int:
    starter = parent_process()
    return os.getppid() if starter is None or starter.pid is None else starter.pid


class DrainingApp:
    """Answers as the application does, and closes each connection once this process is to end.

    So no client is left with an open connection on which its next request would be lost. After
    ``max_requests``, and up to a tenth more so that workers do not end together, ``retire`` is
    called once; 0 is never. ``started`` is called when it can serve.
    """

    def __init__(
        self,
        app: "ASGIApp",
        max_requests: int,
        started: Callable[[], None],
        retire: Callable[[], None],
    ) -> None:
        self._app = app
        self._started = started
        self._left = max_requests + random.randint(0, max_requests // 10)  # noqa: S311
        self._retire = retire
        self._leaving = False
        self._next_glance = 0.0

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] == "http":
            self._count()
            if self._leaves():
                send = _closing(send)
        elif scope["type"] == "lifespan":
            send = _telling(send, self._started)
        await self._app(scope, receive, send)

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._leaving = True
            self._retire()

    def _leaves(self) -> bool:
        now = time.monotonic()
        if not self._leaving and now >= self._next_glance:
            self._next_glance = now + _GLANCE
            self._leaving = is_draining()
        return self._leaving


def _closing(send: "Send") -> "Send":
    async def close(message: "Message") -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
        await send(message)

    return close


def _telling(send: "Send", started: Callable[[], None]) -> "Send":
    async def tell(message: "Message") -> None:
        if message["type"] == "lifespan.startup.complete":
            started()
        await send(message)

    return tell


def end_soon() -> None:
    """End this process gracefully; the one that started it replaces it."""
    timer = threading.Timer(LEAVING_SECONDS, os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    timer.start()


def ask_for_replacement(folder: Path, parent: int) -> None:
    """Leave word for the process that started this one, which has a new one ready first."""
    if os.getppid() == parent:  # else it has ended, and this one is about to
        _leave_word(folder / str(os.getpid()))
        os.kill(parent, REPLACE)


def _leave_word(file: Path) -> None:
    """Where that cannot be done, nobody's request or start fails: somebody cleaned up the folder
    of temporary files, or its disk is full."""
    with suppress(OSError):
        file.touch()
