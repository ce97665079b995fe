"""What every error looks like, asserted in one place."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "errors", "request_id"}
TOKEN_ENDPOINTS = ("/auth/login", "/auth/refresh")
"""A form that is sent there is a token request of OAuth2."""


def problem(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """Assert that an answer is a problem (RFC 9457) with this status, and return its body.

    That of a token request has the members of RFC 6749, 5.2, too; no other has any.
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
    """Whether a request is made as the libraries of OAuth2 do."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = media_type == "application/x-www-form-urlencoded"
    return is_form and request.method == "POST" and request.url.path.endswith(TOKEN_ENDPOINTS)


def fields_of(body: dict[str, Any]) -> dict[str, str]:
    """The refused fields of a problem with the code of each."""
    return {fault["field"]: fault["code"] for fault in body["errors"]}


async def stream(size: int) -> AsyncIterator[bytes]:
    """A body of at least this size, which does not say so beforehand."""
    for _ in range(0, size, 65536):
        yield b"x" * 65536
