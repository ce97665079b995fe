"""What traces cost: a read without them, and with them at several shares of sampled requests."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from backstay.application import PACKAGED
from backstay.cli.readiness import opened
from backstay.composition import seed
from tests.cli.process import environ
from tests.services.otlp import collector

ADMIN = {"ADMIN_EMAIL": "admin@example.com", "ADMIN_PASSWORD": "correct horse battery"}
REQUESTS = 1000
SHARES = {"0 %": "0", "1 %": "0.01", "100 %": "1"}
OFF = "off"
Costs = dict[str, list[float]]


def measure(rounds: int) -> Costs:
    """CPU microseconds of a request, in each round; every kind in turn, each in its own process."""
    found: Costs = {OFF: [], **{name: [] for name in SHARES}}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        sink = held.enter_context(_child(folder, "collector"))
        url = _answer(sink)
        kinds = {OFF: held.enter_context(_child(folder, "requests"))}
        _answer(kinds[OFF])  # it has made the database
        for name, share in SHARES.items():
            wanted = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": url,
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": share,
            }
            kinds[name] = held.enter_context(_child(folder, "requests", **wanted))
            _answer(kinds[name])
        for number in range(rounds + 1):
            for name, child in kinds.items():
                cost = float(_ask(child))
                if number:  # the first round warms up
                    found[name].append(cost)
    return found


def show(costs: Costs) -> None:
    """Print the median of each kind, its spread over the rounds, and what it adds to `off`."""
    base = median(costs[OFF])
    table = Table(title=f"CPU of a read by id on SQLite, {len(costs[OFF])} rounds in turn")
    for heading in ("traced", "median µs", "lowest to highest µs", "more than off"):
        table.add_column(heading, justify="right")
    for name, each in costs.items():
        spread = f"{min(each):.0f} to {max(each):.0f}"
        table.add_row(name, f"{median(each):.0f}", spread, f"{median(each) / base - 1:+.1%}")
    console = Console()
    console.print(table)
    wide, added = max(costs[OFF]) - min(costs[OFF]), median(costs["0 %"]) - base
    verdict = "no more" if added <= wide else "more"
    console.print(
        f"Sampled off adds {added:.0f} µs, {verdict} than the spread of off, {wide:.0f} µs."
    )


@contextmanager
def _child(folder: str, part: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    root = Path(__file__).parents[1]
    known = environ(
        LOG_DIR="", LOG_FORMAT="json", RATE_LIMIT_ENABLED="false", CACHE_TTL_SECONDS="0", **ADMIN
    )
    known["PYTHONPATH"] = f"{os.environ.get('PYTHONPATH', known['PYTHONPATH'])}:{root}"
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.traces", part],
        cwd=folder,
        env=known | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def _answer(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    if not (line := child.stdout.readline()):
        raise RuntimeError("a process of the benchmark has ended")
    return line.strip()


def _ask(child: "subprocess.Popen[str]") -> str:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()
    return _answer(child)


def _collect() -> None:
    with collector() as received:
        print(received.url, flush=True)
        sys.stdin.read()


async def _serve() -> None:
    """Answer requests in this process, as often as asked; say the CPU time of one."""
    settings = PACKAGED.load_settings()
    async with opened(settings) as backstay:
        await seed(backstay)
    app = PACKAGED.create_app(settings, worker=False)
    async with app.router.lifespan_context(app):
        signed_in = {"email": ADMIN["ADMIN_EMAIL"], "password": ADMIN["ADMIN_PASSWORD"]}
        path, body = "/api/v1/auth/login", signed_in | {"transport": "body"}
        token = (await _request(app, "POST", path, body))["access_token"]
        item = await _request(app, "POST", "/api/v1/items", {"title": "traced"}, token)
        print("ready", flush=True)
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, sys.stdin.readline):
            began = time.process_time()
            for _ in range(REQUESTS):
                await _request(app, "GET", f"/api/v1/items/{item['id']}", None, token)
            spent = time.process_time() - began
            print(spent / REQUESTS * 1e6, flush=True)


async def _request(
    app: Any, method: str, path: str, body: dict[str, str] | None, token: str = ""
) -> Any:
    sent = b"" if body is None else json.dumps(body).encode()
    headers = [(b"host", b"bench"), (b"authorization", f"Bearer {token}".encode())]
    if body is not None:
        headers += [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(sent)).encode()),
        ]
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
    }
    scope |= {"query_string": b"", "headers": headers, "client": ("192.0.2.1", 5), "scheme": "http"}
    scope |= {"http_version": "1.1", "server": ("bench", 80), "root_path": "", "asgi": {}}
    answer: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": sent, "more_body": False}

    async def send(message: Any) -> None:
        answer.append(message.get("body", b""))

    await app(scope, receive, send)
    return json.loads(b"".join(answer))


if __name__ == "__main__":
    if sys.argv[1] == "collector":
        _collect()
    else:
        asyncio.run(_serve())
