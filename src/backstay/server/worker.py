"""The application as a worker runs it: clients' connections are closed before the worker ends."""

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import parent_process
from pathlib import Path
from typing import TYPE_CHECKING

from backstay.core.runtime_dir import FOLDER, REFUSED, STARTED, is_draining, refused_at_start
from backstay.core.startup import hurry_imports, without_extras
from backstay.server.closing import LEAVE, drop_stalled_clients, leave
from backstay.server.orphans import follow_parent

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from backstay.settings import LogSettings, Settings


CANNOT_START = 3
"""Exit code of a worker that cannot build its application: on it, gunicorn does not restart it."""
LEAVING_SECONDS = 2.0
"""How long a worker that has served ``max_requests`` keeps closing connections before it ends."""
REPLACE = signal.SIGUSR1
"""The signal that tells the parent process that a worker asks to be replaced."""
_POLL_SECONDS = 0.1
_CLOSE = (b"connection", b"close")


def application(parent: int | None = None) -> "DrainingApp":
    """The application of one worker; it is imported here and nowhere else.

    ``parent`` is the id of the parent process if the worker was forked, not spawned.
    """
    hurry_imports()
    with without_extras():
        import backstay.composition.http  # noqa: F401  what the application imports late
        from backstay.application import application_in_use
        from backstay.settings import read_settings

    signal.pthread_sigmask(signal.SIG_UNBLOCK, {REPLACE})  # granian's parent blocked it
    parent = parent or _spawned_by()
    follow_parent(parent)
    signal.signal(LEAVE, leave)
    try:
        in_use = application_in_use()
        settings = in_use.load_settings()
    except Exception:  # code or settings are others than `serve` has checked
        draft = read_settings().draft
        with end_in_the_log(draft.log, draft):
            raise
    with end_in_the_log(settings.log, settings):
        app = in_use.create_app(settings)
    folder = Path(os.environ[FOLDER])
    ask = partial(ask_for_replacement, folder, parent)
    retire = ask if settings.server.type == "granian" else end_soon

    def started() -> None:
        _touch(folder / f"{STARTED}{os.getpid()}")
        drop_stalled_clients()

    return DrainingApp(app, settings.server.max_requests, started, retire)


@contextmanager
def end_in_the_log(log: "LogSettings", settings: "Settings | None" = None) -> Iterator[None]:
    """Log an error that happens while the application is built, and end this process.

    It is reported, too, if these ``settings`` say to whom.
    """
    from backstay.composition.telemetry import error_reports_for
    from backstay.observability import log_libraries
    from backstay.observability.logging import configure

    reports = None if settings is None else error_reports_for(settings)
    configure(log.level, log.format, further=[] if reports is None else [reports])
    log_libraries.take_over()
    try:
        yield
    except Exception as error:
        _say_why(error, "the application cannot be made")
        sys.exit(CANNOT_START)


def _say_why(error: Exception, event: str) -> None:
    """Log why there is no application: an expected error in sentences, another with its traceback.

    Of workers that start together one says it, since they all fail for one reason.
    """
    from backstay.composition.logs import log_refusal

    if refused_at_start():
        return
    if folder := os.environ.get(FOLDER):
        _touch(Path(folder) / REFUSED)
    log_refusal(error, event)


def _spawned_by() -> int:
    starter = parent_process()
    return os.getppid() if starter is None or starter.pid is None else starter.pid


class DrainingApp:
    """Wraps the application; when this process is to end, each response closes its connection.

    Otherwise a client could lose the next request that it sends on an open connection. After
    ``max_requests`` requests ``retire`` is called once; 0 means never. Up to a tenth is added at
    random, so that workers do not end together. ``started`` is called when the application can
    serve.
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
        self._next_poll = 0.0

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] == "http":
            self._count()
            if self._must_close():
                send = _with_close(send)
        elif scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _live(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve the lifespan. If the application cannot start, log why and end this process: the
        server would add a traceback, and might try it again."""
        has_started = False

        async def tell(message: "Message") -> None:
            nonlocal has_started
            if message["type"] == "lifespan.startup.complete":
                has_started = True
                self._started()
            if has_started:
                await send(message)

        try:
            await self._app(scope, receive, tell)
        except Exception as error:
            if has_started:
                raise
            _say_why(error, "the application cannot start")
            sys.stderr.flush()
            os._exit(CANNOT_START)

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._leaving = True
            self._retire()

    def _must_close(self) -> bool:
        now = time.monotonic()
        if not self._leaving and now >= self._next_poll:
            self._next_poll = now + _POLL_SECONDS
            self._leaving = is_draining()
        return self._leaving


def _with_close(send: "Send") -> "Send":
    async def close(message: "Message") -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
        await send(message)

    return close


def end_soon() -> None:
    """End this process gracefully after ``LEAVING_SECONDS``; its parent then starts a new one."""
    timer = threading.Timer(LEAVING_SECONDS, os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    timer.start()


def ask_for_replacement(folder: Path, parent: int) -> None:
    """Ask the parent process for a replacement; it ends this process once a new one serves."""
    if os.getppid() == parent:  # else the parent has ended, and this process follows it
        _touch(folder / str(os.getpid()))
        os.kill(parent, REPLACE)


def _touch(file: Path) -> None:
    """Create an empty file. If that fails, requests and the start go on: the folder of temporary
    files may have been cleaned up, or its disk may be full."""
    with suppress(OSError):
        file.touch()
