"""Shows that a request and the job that it causes are one trace, and what spans never hold."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from backstay.application import Application
from backstay.composition import Backstay
from backstay.core.clock import utc_now
from backstay.core.feature import Feature
from backstay.core.schedule import every
from backstay.jobs.scheduler import Scheduler
from backstay.observability import span_export
from backstay.observability.tracing import OtelTracer
from backstay.settings.groups.telemetry import OtelSettings
from backstay.testing import Work, free_port
from backstay.web import request_log
from tests.logs import logged
from tests.observability.parcels import WeighParcel, parcels, router
from tests.services.otlp import Received, attributes_of, collector, has_failed

pytestmark = pytest.mark.anyio
PARCELS = "/api/v1/parcels"
NEVER = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
TRACE, PARENT = "a" * 32, "b" * 16


@pytest.fixture
def application(features: list[Feature]) -> Application:
    made = [*features, parcels]
    return Application("tests", features=made, routers=[router], migrations=None)


@pytest.fixture
def received() -> Iterator[Received]:
    with collector() as found:
        yield found


@pytest.fixture
def sampler() -> dict[str, str]:
    return {}


@pytest.fixture
def variables(
    received: Received, database_kind: str, sampler: dict[str, str], request: pytest.FixtureRequest
) -> dict[str, str]:
    """Traces; beside PostgreSQL also limits on Redis."""
    own = {"OTEL_EXPORTER_OTLP_ENDPOINT": received.url, **sampler}
    if database_kind == "sqlite":
        return own
    request.getfixturevalue("patient")
    url = request.getfixturevalue("valkey").url
    return own | {"REDIS_URL": url, "RATE_LIMIT_ENABLED": "true"}


@pytest.fixture
async def sent(app: FastAPI, backstay: Backstay) -> AsyncIterator[httpx.AsyncClient]:
    """A client; at its end, or when the test asks, every span has arrived."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


COMMAND = """
SendParcel
  note_refusal
    refuse_writes
      transaction
        refuse_writes
          finish_job
            record
              outdate
                conditional
                  send_parcel
                    SELECT users
                    enqueue WeighParcel
                      INSERT jobs
                      job WeighParcel
                        WeighParcel
                          hold
                            note_refusal
                              authorize
                                refuse_writes
                                  transaction
                                    replay
                                      refuse_writes
                                        finish_job
                                          record
                                            outdate
                                              conditional
                                                weigh_parcel
                                                  SELECT users
                                    UPDATE jobs
                                    INSERT activity
        INSERT activity
"""
"""The spans of a request below its own; those of Redis and of BEGIN are left out."""


async def test_a_request_and_its_job_are_one_trace(
    sent: httpx.AsyncClient, work: Work, backstay: Backstay, received: Received, database_kind: str
) -> None:
    assert (await sent.post(PARCELS, json={"name": "warm"})).status_code == 204
    await work.run()
    answer = await sent.post(
        PARCELS, json={"name": "hush"}, headers={"traceparent": f"00-{TRACE}-{PARENT}-00"}
    )
    assert answer.status_code == 204
    await work.run()
    await backstay.tracer.stop()
    received.spans = [span for span in received.spans if span.trace_id.hex() == TRACE]
    (root,) = (span for span in received.spans if span.parent_span_id.hex() == PARENT)
    assert answer.headers["traceparent"] == f"00-{TRACE}-{root.span_id.hex()}-01"
    lines = [line[2:] for line in received.lines(root)]
    seen = [line for line in lines[1:] if line.strip() not in {"BEGIN", "EVALSHA"}]
    assert (root.name, "\n".join(seen)) == (f"POST {PARCELS}", COMMAND.strip())
    assert ("EVALSHA" in lines) == (database_kind == "postgresql")
    assert "hush" not in str(received.spans)


@pytest.mark.parametrize(
    ("sampler", "flags"),
    [
        (NEVER, "00"),
        (NEVER | {"OTEL_TRUST_TRACEPARENT": "true"}, "01"),
    ],
)
async def test_a_client_forces_no_trace_unless_it_is_trusted(
    sent: httpx.AsyncClient, work: Work, backstay: Backstay, received: Received, flags: str
) -> None:
    asked = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    answer = await sent.post(PARCELS, json={"name": "x"}, headers=asked)
    trace = answer.headers["traceparent"]
    assert (trace[3:35], trace[-2:]) == (TRACE, flags)
    assert await work.run() == 1
    await backstay.tracer.stop()
    names = [name for name in received.names() if name.startswith(("POST", "job"))]
    assert names == ([f"POST {PARCELS}", "job WeighParcel"] if flags == "01" else [])


async def test_failed_spans_have_types_and_no_texts(
    sent: httpx.AsyncClient, work: Work, backstay: Backstay, received: Received
) -> None:
    with logged(request_log) as lines:
        for how in ("refused", "broken"):
            await sent.post(PARCELS, json={"name": "hush", "how": how})
        await sent.get("/planted/bug?token=hush")
        await sent.get("/livez")
    await sent.post(PARCELS, json={"name": "heavy"})
    await work.run()
    await backstay.tracer.stop()
    commands = [span for span in received.spans if span.name == "SendParcel"][:2]
    told = [(attributes_of(span).get("error.type"), has_failed(span)) for span in commands]
    assert told == [("conflict", False), ("ZeroDivisionError", True)]
    bug = received.one("GET /planted/bug")
    about = attributes_of(bug)
    assert (about["error.type"], about["http.response.status_code"]) == ("ZeroDivisionError", 500)
    assert (about["http.route"], about["url.path"]) == ("/planted/bug", "/planted/bug")
    assert has_failed(bug)
    job = received.one("job WeighParcel")
    assert (attributes_of(job)["backstay.job.outcome"], has_failed(job)) == ("failed", True)
    assert "hush" not in str(received.spans)
    assert not [name for name in received.names() if "livez" in name]
    assert [line["trace_id"] for line in lines][-1] == bug.trace_id.hex()
    assert [line["status"] for line in lines] == [500, 500]


async def test_a_slot_begins_a_trace_of_its_own(
    backstay: Backstay, work: Work, received: Received
) -> None:
    place = backstay.worker_context
    each = every("1h", WeighParcel(name="x"))
    scheduler, slot = Scheduler([each], place.outbox), each.trigger.slot(utc_now())
    assert await scheduler.fire(each, slot)
    assert not await scheduler.fire(each, slot)
    assert await work.run() == 1
    await backstay.tracer.stop()
    tree = received.lines(received.one(f"schedule {each.name}"))
    assert "  job WeighParcel" in tree


def test_a_lost_collector_is_told_once() -> None:
    port = free_port()
    settings = OtelSettings(exporter_otlp_endpoint=f"http://127.0.0.1:{port}")
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = span_export._Reporting(OTLPSpanExporter(settings.endpoint, timeout=0.2), "it")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    with logged(span_export) as events:
        for _ in range(2):
            tracer.start_span("lost").end()
        with collector(port) as received:
            tracer.start_span("kept").end()
    assert received.names() == ["kept"]
    assert [event["log_level"] for event in events] == ["warning", "info"]
    assert events[0]["reason"].startswith("Failed to export spans")


async def test_a_stop_does_not_wait_for_a_lost_collector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(span_export, "FLUSH_SECONDS", 0.01)
    settings = OtelSettings(exporter_otlp_endpoint=f"http://127.0.0.1:{free_port()}")
    tracer = OtelTracer(settings, {})
    tracer._exporting.start()
    with tracer.span("lost", parent=""):
        pass
    with logged(span_export) as events:
        await tracer.stop()
    assert events[-1]["event"].startswith("the last spans are lost")
