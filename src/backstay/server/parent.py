"""Runs one of the three servers; the supervisor starts this module in a process of its own.

It loads only that server; the workers load the application.
"""

import logging
import multiprocessing
import os
import signal
import sys
from pathlib import Path
from typing import Any

from backstay.core.runtime_dir import FOLDER, METRICS, refused_at_start
from backstay.server.closing import drain_accept_queue
from backstay.server.options import Options, options_from
from backstay.server.orphans import follow_parent
from backstay.server.worker import REPLACE, application

APPLICATION = "backstay.server.worker:application"
HTTP = "backstay.server.uvicorn_http:Http"
GIVING_BACK_SECONDS = 3
"""How long a worker has to release its unfinished jobs, after the time they have to finish."""
CONNECTIONS = 65_536
"""The most connections of a granian worker, idle ones included; further ones wait."""


def main(told: str) -> None:
    """Serve until told to stop."""
    options = options_from(told)
    is_granian = options.reload is not None or options.type == "granian"
    if is_granian:  # before threads start, because they inherit the blocked signals
        signal.pthread_sigmask(signal.SIG_BLOCK, {REPLACE})
    follow_parent(options.supervisor)
    if options.workers > 1:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(Path(os.environ[FOLDER]) / METRICS)
    for name in ("_granian", "uvicorn.error", "gunicorn.error"):
        # a worker that cannot start has said why; what its server adds says nothing more
        logging.getLogger(name).addFilter(lambda _: not refused_at_start())
    run = _granian if is_granian else {"uvicorn": _uvicorn, "gunicorn": _gunicorn}[options.type]
    run(options)


def _granian(options: Options) -> None:
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels
    from watchfiles import PythonFilter

    from backstay.server.granian_parent import Granian

    multiprocessing.set_start_method("spawn")
    Granian(
        "backstay",
        options.host,
        options.port,
        interface=Interfaces.ASGI,
        workers=options.workers,
        runtime_threads=options.threads,
        backpressure=CONNECTIONS,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=options.timeout * 1000),
        log_level=LogLevels.warning,
        workers_kill_timeout=options.graceful_timeout + GIVING_BACK_SECONDS,
        respawn_interval=0.5,
        reload=options.reload is not None,
        reload_paths=[Path(options.reload)] if options.reload else None,
        reload_filter=PythonFilter,
        reload_ignore_worker_failure=True,
    ).serve(target_loader=application, wrap_loader=False)


def _uvicorn(options: Options) -> None:
    from uvicorn import Config
    from uvicorn.supervisors import Multiprocess

    class Parent(Multiprocess):
        def terminate_all(self) -> None:
            drain_accept_queue()
            # else it would still take connections, which no worker accepts
            for sock in self.sockets:
                sock.close()
            super().terminate_all()

    config = Config(
        APPLICATION,
        factory=True,
        host=options.host,
        port=options.port,
        workers=options.workers,
        **_uvicorn_options(options),
    )
    Parent(config, sockets=[config.bind_socket()]).run()


def _uvicorn_options(options: Options) -> dict[str, Any]:
    return {
        "http": HTTP,
        "timeout_keep_alive": options.timeout,
        "timeout_graceful_shutdown": options.graceful_timeout,
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
    }


def _gunicorn(options: Options) -> None:
    from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
    from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
    from gunicorn.sock import BaseSocket  # type: ignore[import-untyped]

    # the first worker that serves listens, through uvicorn: if this process listened before, and
    # no worker could start, it would reset the clients that connected meanwhile
    BaseSocket._is_listening = staticmethod(lambda sock: True)
    host = f"[{options.host}]" if ":" in options.host else options.host
    parent = os.getpid()
    settings = {
        "bind": f"{host}:{options.port}",
        "workers": options.workers,
        "worker_class": _gunicorn_worker(options),
        "graceful_timeout": options.graceful_timeout,
        "loglevel": "warning",
        "control_socket_disable": True,
    }

    class Application(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            for name, value in settings.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            return application(parent)

    class Parent(Arbiter):  # type: ignore[misc]
        def stop(self, graceful: bool = True) -> None:
            drain_accept_queue()
            super().stop(graceful)

    Parent(Application()).run()


def _gunicorn_worker(options: Options) -> type:
    """A gunicorn worker with uvicorn's HTTP: gunicorn's own wait for idle connections at a stop."""
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker as Base  # type: ignore[import-untyped]

    class UvicornWorker(Base):  # type: ignore[misc]
        def run(self) -> None:
            from uvicorn import Config, Server

            config = Config(
                self.wsgi,
                timeout_notify=self.timeout,
                callback_notify=self.beat,
                **_uvicorn_options(options),
            )
            uvicorn = Server(config)
            uvicorn.run(self.sockets)
            if not uvicorn.started:
                sys.exit(Arbiter.WORKER_BOOT_ERROR)

        async def beat(self) -> None:
            self.notify()

    return UvicornWorker


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main(*sys.argv[1:])
