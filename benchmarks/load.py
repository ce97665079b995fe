"""Load from wrk, read back as figures."""

import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import machine

_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
_LUA = """
wrk.method = "{method}"
wrk.body = [==[{body}]==]
{headers}
"""


@dataclass(frozen=True)
class Request:
    """One request, repeated."""

    url: str
    method: str = "GET"
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """What a burst of load showed. Times are milliseconds, but CPU is microseconds per request."""

    requests: int
    per_second: float
    p50: float
    p99: float
    cpu: float


def burst(request: Request, pids: list[int], *, seconds: int, connections: int) -> Measured:
    """Send one request over and over.

    Raises:
        RuntimeError: an answer was no success; figures of failures mean nothing.
    """
    headers = {"Content-Type": "application/json", "User-Agent": "wrk", **request.headers}
    lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items())
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "request.lua"
        script.write_text(_LUA.format(method=request.method, body=request.body, headers=lines))
        before = machine.cpu_seconds(pids)
        done = subprocess.run(
            [
                "wrk",
                "-t1",
                f"-c{connections}",
                f"-d{seconds}s",
                "--timeout",
                "30s",
                "--latency",
                "-s",
                str(script),
                request.url,
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        used = machine.cpu_seconds(pids) - before
    out = done.stdout
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.+)", out)
    if failed:
        raise RuntimeError(f"{request.method} {request.url}: {failed[0]}")
    count = int(_figure(r"(\d+) requests in", out))
    return Measured(
        count,
        _figure(r"Requests/sec:\s+([\d.]+)", out),
        _time(r"50%\s+([\d.]+)(\w+)", out),
        _time(r"99%\s+([\d.]+)(\w+)", out),
        used / max(count, 1) * 1e6,
    )


def _figure(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk answered something unexpected:\n{text}")
    return float(found[1])


def _time(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk answered something unexpected:\n{text}")
    return float(found[1]) * _UNITS[found[2]]
