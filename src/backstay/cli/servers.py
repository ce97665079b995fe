"""Runs one of the three servers; the supervisor starts this module in a process of its own."""

import multiprocessing
import os
import signal
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from backstay.cli.supervisor import follow_parent
from backstay.core.lifeline import FOLDER, METRICS
from backstay.settings import ServerSettings, load_settings

APPLICATION = "backstay.cli.servers:application"


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


def application() -> FastAPI:
    """The application of one worker."""
    from backstay.main import create_app

    follow_parent()
    return create_app()


def _granian(server: ServerSettings, host: str, port: int, *, reload: bool = False) -> None:
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels
    from watchfiles import PythonFilter

    multiprocessing.set_start_method("spawn")
    Granian(
        "backstay",
        host,
        port,
        interface=Interfaces.ASGI,
        workers=server.worker_count,
        runtime_threads=server.threads,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=server.timeout * 1000),
        log_level=LogLevels.warning,
        workers_kill_timeout=max(1, server.graceful_timeout),
        respawn_failed_workers=True,
        respawn_interval=0.5,
        reload=reload,
        reload_filter=PythonFilter,
        reload_ignore_worker_failure=True,
    ).serve(target_loader=application, wrap_loader=False)


def _uvicorn(server: ServerSettings, host: str, port: int) -> None:
    from uvicorn import Config
    from uvicorn.supervisors import Multiprocess

    config = Config(
        APPLICATION,
        factory=True,
        host=host,
        port=port,
        workers=server.worker_count,
        timeout_keep_alive=server.timeout,
        timeout_graceful_shutdown=server.graceful_timeout,
        limit_max_requests=server.max_requests or None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    Multiprocess(config, sockets=[config.bind_socket()]).run()


def _gunicorn(server: ServerSettings, host: str, port: int) -> None:
    from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

    options = {
        "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "workers": server.worker_count,
        "worker_class": "asgi",
        "keepalive": server.timeout,
        "graceful_timeout": server.graceful_timeout,
        "max_requests": server.max_requests,
        "max_requests_jitter": server.max_requests // 10,
        "loglevel": "warning",
        "control_socket_disable": True,
    }

    class Application(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            return application()

    Application().run()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main(*sys.argv[1:])
