"""Load from wrk, read back as figures."""

import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import machine

_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
_LUA = """
local requests, at, seen = {{}}, 0, {{}}
for each in io.open("{file}", "rb"):read("*a"):gmatch("[^%z]+") do
   requests[#requests + 1] = each
end
function request()
   at = at % #requests + 1
   return requests[at]
end
function response(status, headers, body)
   if status > 399 and not seen[status] then
      seen[status] = true
      io.stderr:write(status, " ", body, "\\n")
   end
end
"""
"""Sends the requests of a file in turn; writes the first answer of each failing status."""


@dataclass(frozen=True)
class Request:
    """One request; its ``url`` begins with the server's base when it is sent."""

    url: str
    method: str = "GET"
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def sent(self) -> bytes:
        """What is sent (RFC 9112)."""
        parts = urlsplit(self.url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        headers = {"Host": parts.netloc, "User-Agent": "wrk", **self.headers}
        body = self.body.encode()
        if body:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{self.method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body


@dataclass(frozen=True)
class Measured:
    """What a burst of load showed. Times are milliseconds, but CPU is microseconds per request."""

    requests: int
    per_second: float
    p50: float
    p99: float
    cpu: float


def burst(
    requests: Request | Sequence[Request], pids: list[int], *, seconds: int, connections: int
) -> Measured:
    """Send one request over and over, or several in turn.

    Raises:
        RuntimeError: an answer was no success; figures of failures mean nothing.
    """
    each = [requests] if isinstance(requests, Request) else requests
    with tempfile.TemporaryDirectory() as folder:
        file, script = Path(folder) / "requests", Path(folder) / "requests.lua"
        file.write_bytes(b"\0".join(request.sent for request in each))
        script.write_text(_LUA.format(file=file))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
        command += ["--latency", "-s", str(script), each[0].url]
        before = machine.cpu_seconds(pids)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        used = machine.cpu_seconds(pids) - before
    if fault := failure(done.stdout, done.stderr):
        raise RuntimeError(f"{each[0].method} {each[0].url}: {fault}")
    return measured(done.stdout, used)


def settle(pids: list[int]) -> None:
    """Wait until processes are idle: what an earlier burst has left to do is no cost of the next.

    Raises:
        RuntimeError: they were still at work after half a minute.
    """
    for _ in range(150):
        before = machine.cpu_seconds(pids)
        time.sleep(0.2)
        if machine.cpu_seconds(pids) - before < 0.02:
            return
    raise RuntimeError("a server without requests is not idle")


def failure(out: str, err: str) -> str:
    """What wrk says of requests that failed, with the first answer of each status; or nothing."""
    found = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.+)", out)
    return "" if found is None else "\n".join([found[0], *err.splitlines()])


def measured(out: str, used: float) -> Measured:
    """The figures of a burst during which the server used so many seconds of a processor.

    Raises:
        RuntimeError: no request was answered, or wrk has not said how many.
    """
    count = int(_figure(r"(\d+) requests in", out))
    if not count:
        raise RuntimeError("no request was answered in time: see --seconds")
    return Measured(
        count,
        _figure(r"Requests/sec:\s+([\d.]+)", out),
        _time(r"50%\s+([\d.]+)(\w+)", out),
        _time(r"99%\s+([\d.]+)(\w+)", out),
        used / count * 1e6,
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
