"""A machine without containers: something keeps its processes, nginx shares the requests among its
servers, and `release.sh` brings releases. What a release runs is a script of the test.

What keeps the processes is supervisord, or this process, which is faster.
"""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from backstay.blueprints.deploying import DeployOptions, render_deploy
from backstay.testing.ports import free_port
from backstay.testing.waiting import LIMIT
from tests.services.deployed_nginx import DOMAIN, Nginx, deployed

OPTIONS = DeployOptions(name="shop", domain=DOMAIN, drain=2, grace=10)
CONF = """\
FOLDER={folder}/opt
SERVERS="{servers}"
WORKERS="{workers}"
SERVER=api-
WORKER=worker-
control() {{ {control}; }}
last_lines() {{ tail -n 20 "{folder}/$1.log"; }}
START="control start"
STOP="control stop"
RUNS="control status"
LOG=last_lines
MIGRATE="{folder}/opt/instances/migrate/bin/migrate"
INSTALL={folder}/install
NGINX="{nginx}"
UPSTREAM={nginx_folder}/servers.conf
"""


@dataclass
class Machine:
    """A machine on which nothing is deployed yet."""

    folder: Path
    nginx: Nginx
    servers: tuple[int, ...]
    workers: tuple[int, ...]

    def start(self, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
        """Run `release.sh`."""
        return subprocess.Popen(
            ["sh", self.folder / "release.sh", *arguments],
            env={**os.environ, "RELEASE_CONF": str(self.folder / "release.conf"), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, code: int = 0, **variables: str) -> str:
        """What `release.sh` prints until it ends with this code."""
        with self.start(*arguments, **variables) as process:
            printed = process.communicate(timeout=LIMIT * 5)[0]
        assert process.returncode == code, printed
        return printed

    def set(self, **assigned: object) -> None:
        """Add assignments to the configuration of `release.sh`."""
        with (self.folder / "release.conf").open("a") as conf:
            conf.writelines(f"{name}={value}\n" for name, value in assigned.items())

    def releases(self) -> dict[str, str]:
        """Which release each process is to run."""
        links = (self.folder / "opt/instances").iterdir()
        return {each.name: each.readlink().name for each in links if each.suffix != ".new"}

    def shared(self) -> list[int]:
        """The ports to which nginx gives requests."""
        lines = (self.nginx.folder / "servers.conf").read_text().split("127.0.0.1:")[1:]
        return [int(line.split()[0].rstrip(";")) for line in lines]


@contextmanager
def machine(
    folder: Path,
    scripts: Mapping[str, str],
    keeper: "Callable[[Path, Mapping[str, int]], AbstractContextManager[str]]",
    *,
    workers: int = 1,
    read_seconds: int = 60,
) -> Iterator[Machine]:
    """A machine on which nothing is deployed yet.

    ``scripts`` are the programs of every release, by name: `api`, `worker`, `migrate`. They get
    their port, and find the name of their release in ``$APP_VERSION``.
    """
    servers = (free_port(), free_port())
    ports = tuple(free_port() for _ in range(workers))
    named = {f"api-{port}": port for port in servers}
    named |= {f"worker-{port}": port for port in ports}
    (folder / "nginx").mkdir()
    with (
        deployed(
            folder / "nginx", *servers, options=OPTIONS, read_seconds=read_seconds, reloads=True
        ) as nginx,
        keeper(folder, named) as control,
    ):
        found = Machine(folder, nginx, servers, ports)
        _write(found, scripts, control)
        yield found


def _write(machine: Machine, scripts: Mapping[str, str], control: str) -> None:
    folder = machine.folder
    (folder / "release.sh").write_text(render_deploy(OPTIONS)["deploy/release.sh"])
    conf = CONF.format(
        folder=folder,
        servers=" ".join(map(str, machine.servers)),
        workers=" ".join(map(str, machine.workers)),
        control=control,
        nginx=" ".join(machine.nginx.command),
        nginx_folder=machine.nginx.folder,
    )
    (folder / "release.conf").write_text(conf)
    (folder / "scripts").mkdir()
    first = '#!/bin/sh\nset -a\n. "$(dirname "$0")/../release.env"\n'
    for name, text in scripts.items():
        _program(folder / "scripts" / name, first + text)
    _program(folder / "install", f'#!/bin/sh\ncp -r {folder}/scripts "$2/bin"\n')


def _program(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)


@contextmanager
def kept_here(folder: Path, named: Mapping[str, int]) -> Iterator[str]:
    """This process keeps the processes; it is told by HTTP what to do with which."""
    with Keeper(folder, named) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f'curl -fsS "http://127.0.0.1:{server.server_port}/$1/$2"'
        finally:
            server.shutdown()
            for each in server.processes.values():
                each.terminate()
                each.wait(LIMIT)


class Keeper(ThreadingHTTPServer):
    """Starts and stops processes, and says whether one runs."""

    def __init__(self, folder: Path, named: Mapping[str, int]) -> None:
        self._folder = folder
        self._named = named
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        super().__init__(("127.0.0.1", 0), _Asked)

    def start(self, name: str) -> bool:
        """Start a process; it writes into a log of its name."""
        port = str(self._named[name])
        program = self._folder / "opt/instances" / port / "bin" / name.partition("-")[0]
        with (self._folder / f"{name}.log").open("a") as log:
            self.processes[name] = subprocess.Popen(
                [program, port], stdout=log, stderr=subprocess.STDOUT, cwd=self._folder
            )
        return True

    def stop(self, name: str) -> bool:
        """Stop a process, and wait until it has ended."""
        if process := self.processes.pop(name, None):
            process.terminate()
            process.wait(LIMIT)
        return True

    def status(self, name: str) -> bool:
        """Whether it runs."""
        return name in self.processes and self.processes[name].poll() is None


class _Asked(BaseHTTPRequestHandler):
    server: Keeper

    def do_GET(self) -> None:
        act, name = self.path.strip("/").split("/")
        self.send_response(200 if getattr(self.server, act)(name) else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
