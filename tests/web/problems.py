"""Asserts the form of every error in one place."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "errors", "request_id"}
TOKEN_ENDPOINTS = ("/auth/login", "/auth/refresh")
"""Paths at which a form is an OAuth2 token request."""


def problem(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """Assert that an answer is a problem (RFC 9457) with this status, and return its body.

    Only the answer to a token request also has the members of RFC 6749, 5.2.
    """
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    if is_token_request(answer.request):
        assert set(body) == MEMBERS | {"error", "error_description"}
        assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+", body["error_description"])
    else:
        assert set(body) == MEMBERS
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["type"] == f"urn:backstay:problem:{body['code']}"
    if status == 401:
        assert answer.headers["www-authenticate"]
    if code is not None:
        assert body["code"] == code
    return body


def is_token_request(request: httpx.Request) -> bool:
    """Whether a request is a token request of OAuth2 (RFC 6749)."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = media_type == "application/x-www-form-urlencoded"
    return is_form and request.method == "POST" and request.url.path.endswith(TOKEN_ENDPOINTS)


def fields_of(body: dict[str, Any]) -> dict[str, str]:
    """The refused fields of a problem with the code of each."""
    return {fault["field"]: fault["code"] for fault in body["errors"]}


async def stream(size: int) -> AsyncIterator[bytes]:
    """A streamed body of at least this size, without a Content-Length."""
    for _ in range(0, size, 65536):
        yield b"x" * 65536
