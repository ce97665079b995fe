"""Receives error reports as Sentry does: events in envelopes, by HTTP."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Reported:
    """The events that arrived, and everything that was sent as text."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.text = ""
        self.events: list[dict[str, Any]] = []


@contextmanager
def sentry() -> Iterator[Reported]:
    """A server with one project at an address of this machine."""

    class Sentry(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            text = body.decode()
            reported.text += text
            _, *items = text.splitlines()
            for head, payload in zip(items[::2], items[1::2], strict=False):
                if json.loads(head)["type"] == "event":
                    reported.events.append(json.loads(payload))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Sentry) as server:
        reported = Reported(f"http://key@127.0.0.1:{server.server_port}/1")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield reported
        server.shutdown()
