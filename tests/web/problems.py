"""What every error looks like, asserted in one place."""

from collections.abc import AsyncIterator
from typing import Any

import httpx

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "errors", "request_id"}


def problem(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """Assert that an answer is a problem (RFC 9457) with this status, and return its body."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert set(body) == MEMBERS
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["type"] == f"urn:backstay:problem:{body['code']}"
    if status == 401:
        assert answer.headers["www-authenticate"]
    if code is not None:
        assert body["code"] == code
    return body


def fields_of(body: dict[str, Any]) -> dict[str, str]:
    """The refused fields of a problem with the code of each."""
    return {fault["field"]: fault["code"] for fault in body["errors"]}


async def stream(size: int) -> AsyncIterator[bytes]:
    """A body of at least this size, which does not say so beforehand."""
    for _ in range(0, size, 65536):
        yield b"x" * 65536
