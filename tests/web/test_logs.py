"""Shows that the log holds no secrets, and that input cannot forge log lines."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
import structlog

from backstay.observability.logging import configure

Form = Literal["console", "json"]
Start = Callable[[Form], tuple[Any, io.StringIO]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Configures logging and returns a logger with what it writes to standard error."""
    before = structlog.get_config()

    def configured(form: Form) -> tuple[Any, io.StringIO]:
        written = io.StringIO()
        monkeypatch.setattr(sys, "stderr", written)
        configure("INFO", form)
        return structlog.get_logger("of this test").new(), written

    yield configured
    structlog.configure(**before)


def fail(password: str) -> None:
    token = password.upper()
    raise ZeroDivisionError(len(token))


@pytest.mark.parametrize("form", ["console", "json"])
def test_an_error_shows_places_and_no_values(start: Start, form: Form) -> None:
    log, output = start(form)
    try:
        fail("-".join(["hu", "sh"]))
    except ZeroDivisionError:
        log.exception("unhandled error")
    written = output.getvalue()
    assert "ZeroDivisionError" in written
    assert "in fail" in written
    assert "hu-sh" not in written.lower()


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize(
    "key", ["password", "new_password", "refresh_token", "Authorization", "cookie", "client_secret"]
)
def test_fields_named_like_secrets_are_masked(start: Start, form: Form, key: str) -> None:
    log, output = start(form)
    log.info("request", **{key: "hush", "path": "/x"})
    assert "hush" not in output.getvalue()
    assert "/x" in output.getvalue()


@pytest.mark.parametrize("form", ["console", "json"])
def test_one_event_is_one_line(start: Start, form: Form) -> None:
    log, output = start(form)
    log.info("request", path="/a\n2026-01-01 [info] forged\r\x1b[2J", user="b\tc")
    assert output.getvalue().count("\n") == 1
    assert "\r" not in output.getvalue()
    assert "\x1b[2J" not in output.getvalue()
    if form == "json":
        assert json.loads(output.getvalue())["user"] == "b\tc"


@pytest.mark.parametrize("form", ["console", "json"])
def test_logged_text_cannot_control_a_terminal(start: Start, form: Form) -> None:
    log, output = start(form)
    log.info("request", path="/a\x1b[31mred\x00\x9b\x7f")
    assert not set(output.getvalue()) & set("\x1b\x00\x9b\x7f")
    assert "31mred" in output.getvalue()
