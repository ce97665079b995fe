"""Receives spans (OTLP over HTTP) and shows them as trees."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from backstay.testing.waiting import until


class Received:
    """The spans that a collector has got, and what each says of the service."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200

    def tree(self, root: str) -> list[str]:
        """The spans of the one trace whose root has this name, indented, in the order of begin."""
        first = [span for span in self.spans if span.name == root and not self.parent(span)]
        assert len(first) == 1, self.names()
        return [*self.lines(first[0])]

    def parent(self, span: Span) -> Span | None:
        found = [each for each in self.spans if each.span_id == span.parent_span_id]
        return found[0] if found else None

    def lines(self, span: Span, depth: int = 0) -> Iterator[str]:
        yield "  " * depth + span.name
        for child in sorted(self.children(span), key=lambda each: each.start_time_unix_nano):
            yield from self.lines(child, depth + 1)

    def children(self, span: Span) -> list[Span]:
        return [each for each in self.spans if each.parent_span_id == span.span_id]

    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    def one(self, name: str) -> Span:
        """The one span of a name, as soon as it has arrived."""
        until(lambda: name in self.names(), self.names)
        (span,) = (each for each in self.spans if each.name == name)
        return span


def attributes_of(span: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes
    }


def has_failed(span: Span) -> bool:
    return span.status.code == Status.STATUS_CODE_ERROR


@contextmanager
def collector(port: int = 0) -> Iterator[Received]:
    """A collector at an address of this machine; it answers with `Received.status`."""

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.headers.append(dict(self.headers.items()))
            if received.status == 200:
                for each in ExportTraceServiceRequest.FromString(body).resource_spans:
                    received.resources.append(attributes_of(each.resource))
                    for scope in each.scope_spans:
                        received.spans.extend(scope.spans)
            self.send_response(received.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Collector) as server:
        received = Received(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield received
        server.shutdown()
