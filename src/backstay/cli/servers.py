"""Runs one of the three servers; the supervisor starts this module in a process of its own."""

import contextlib
import multiprocessing
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from backstay.cli import hurry_imports
from backstay.cli.closing import LEAVE, leave, let_the_last_in
from backstay.cli.server_worker import DrainingApp, ask_for_replacement, end_soon
from backstay.cli.supervisor import follow_parent
from backstay.core.lifeline import FOLDER, METRICS
from backstay.settings import ServerSettings, load_settings

APPLICATION = "backstay.cli.servers:application"
REPLACEMENT_SECONDS = 10.0
"""How long a new granian worker gets to start before the one it replaces is stopped."""
GIVING_BACK_SECONDS = 3
"""How long it gets to give back jobs beyond the time they have to finish."""


CONNECTIONS = 65_536
"""How many connections a granian worker holds, idle ones too, before others have to wait."""


def main(host: str, port: str, *options: str) -> None:
    """Serve until told to stop."""
    follow_parent()
    server = load_settings().server
    if server.worker_count > 1:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(Path(os.environ[FOLDER]) / METRICS)
    run = {"granian": _granian, "uvicorn": _uvicorn, "gunicorn": _gunicorn}[server.type]
    if "--reload" in options:
        _granian(server, host, int(port), reload=True)
    else:
        run(server, host, int(port))


def application() -> DrainingApp:
    """The application of one worker."""
    hurry_imports()
    from backstay.main import create_app

    follow_parent()
    signal.signal(LEAVE, leave)
    server = load_settings().server
    ask = partial(ask_for_replacement, Path(os.environ[FOLDER]))
    retire = ask if server.type == "granian" else end_soon
    return DrainingApp(create_app(), server.max_requests, retire)


def _granian(server: ServerSettings, host: str, port: int, *, reload: bool = False) -> None:
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels
    from granian.server.mp import MPServer, WorkerProcess
    from watchfiles import PythonFilter

    def terminate(worker: WorkerProcess) -> None:
        worker.interrupt_by_parent = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.inner.pid, LEAVE)  # each worker has a socket of its own

    WorkerProcess.terminate = terminate  # type: ignore[method-assign]

    class Granian(MPServer):
        def _handle_rss_signal(self, spawn_target: Any, target_loader: Any) -> None:
            for worker in list(self.wrks):
                asked = Path(os.environ[FOLDER]) / str(worker.inner.pid)
                if asked.exists():
                    asked.unlink()
                    self._respawn_workers(
                        [worker.idx], spawn_target, target_loader, delay=REPLACEMENT_SECONDS
                    )

    multiprocessing.set_start_method("spawn")
    Granian(
        "backstay",
        host,
        port,
        interface=Interfaces.ASGI,
        workers=server.worker_count,
        runtime_threads=server.threads,
        backpressure=CONNECTIONS,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=server.timeout * 1000),
        log_level=LogLevels.warning,
        workers_kill_timeout=server.graceful_timeout + GIVING_BACK_SECONDS,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_max_rss=1 if server.max_requests else None,  # the size is not looked at: see above
        rss_sample_interval=1,
        reload=reload,
        reload_filter=PythonFilter,
        reload_ignore_worker_failure=True,
    ).serve(target_loader=application, wrap_loader=False)


def _uvicorn(server: ServerSettings, host: str, port: int) -> None:
    from uvicorn import Config
    from uvicorn.supervisors import Multiprocess

    class Parent(Multiprocess):
        def terminate_all(self) -> None:
            let_the_last_in()
            for sock in self.sockets:  # or it would take connections that nobody accepts any more
                sock.close()
            super().terminate_all()

    options = _uvicorn_options(server)
    config = Config(
        APPLICATION, factory=True, host=host, port=port, workers=server.worker_count, **options
    )
    Parent(config, sockets=[config.bind_socket()]).run()


def _uvicorn_options(server: ServerSettings) -> dict[str, Any]:
    from backstay.cli.uvicorn_http import Http

    return {
        "http": Http,
        "timeout_keep_alive": server.timeout,
        "timeout_graceful_shutdown": server.graceful_timeout,
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
    }


def _gunicorn(server: ServerSettings, host: str, port: int) -> None:
    from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
    from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]

    options = {
        "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "workers": server.worker_count,
        "worker_class": _gunicorn_worker(server),
        "graceful_timeout": server.graceful_timeout,
        "loglevel": "warning",
        "control_socket_disable": True,
    }

    class Application(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            return application()

    class Parent(Arbiter):  # type: ignore[misc]
        def stop(self, graceful: bool = True) -> None:
            let_the_last_in()
            super().stop(graceful)

    Parent(Application()).run()


def _gunicorn_worker(server: ServerSettings) -> type:
    """Speaks HTTP through uvicorn: gunicorn's own workers wait for idle connections at a stop."""
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker as Base  # type: ignore[import-untyped]
    from uvicorn import Config, Server

    class UvicornWorker(Base):  # type: ignore[misc]
        def run(self) -> None:
            config = Config(
                self.wsgi,
                timeout_notify=self.timeout,
                callback_notify=self.beat,
                **_uvicorn_options(server),
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
