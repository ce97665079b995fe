"""Shows how the settings of traces and error reports are read, and what they refuse."""

import pytest

from backstay.settings.groups import telemetry
from tests.settings.reading import Read, faulty

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
COLLECTOR = "http://collector:4318"


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, None),
        ({ENDPOINT: f"{COLLECTOR}/"}, f"{COLLECTOR}/v1/traces"),
        ({ENDPOINT: COLLECTOR, "OTEL_SDK_DISABLED": "true"}, None),
        ({ENDPOINT: COLLECTOR, "OTEL_TRACES_EXPORTER": "none"}, None),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "http://localhost:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://it/spans"}, "http://it/spans"),
    ],
)
def test_an_endpoint_turns_traces_on(
    read: Read, environ: dict[str, str], endpoint: str | None
) -> None:
    settings = read(environ).settings
    assert settings is not None
    assert (settings.otel.endpoint if settings.otel.is_on else None) == endpoint


def test_header_fields_are_decoded_and_secret(read: Read) -> None:
    loaded = read(OTEL_EXPORTER_OTLP_HEADERS="Authorization=Basic%20hush,x-tenant=one")
    assert loaded.settings is not None
    assert loaded.settings.otel.headers == {"Authorization": "Basic hush", "x-tenant": "one"}
    assert "hush" not in str(loaded.settings.otel)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hush"),
        ("OTEL_RESOURCE_ATTRIBUTES", "one"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("SENTRY_DSN", "https://sentry.example.com/1"),
        ("SENTRY_DSN", "https://hush@sentry.example.com"),
    ],
)
def test_what_cannot_work_is_refused(read: Read, variable: str, value: str) -> None:
    loaded = read({variable: value})
    assert faulty(loaded) == [variable]
    assert "hush" not in str(loaded.errors)


def test_further_standard_variables_cause_no_warning(read: Read) -> None:
    loaded = read(OTEL_BSP_SCHEDULE_DELAY="1", OTEL_METRICS_EXPORTER="none", SENTRY_AUTH_TOKEN="x")
    assert loaded.warnings == ()


def test_a_missing_extra_is_named(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "find_spec", lambda name: None)
    assert faulty(read()) == []
    loaded = read({ENDPOINT: COLLECTOR}, SENTRY_DSN="https://key@sentry.example.com/1")
    assert faulty(loaded) == [ENDPOINT, "SENTRY_DSN"]
    assert "Install backstay[otel]" in loaded.errors[0].hint
