"""Signed-in users for tests, each with a client of their own."""

from collections.abc import Awaitable, Callable
from typing import Any

try:
    import httpx
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("The test kit needs httpx: install backstay[testing].") from error
from fastapi import FastAPI

PASSWORD = "correct horse battery"
"""The password of the administrator and of every user that tests create."""
ADMIN_EMAIL = "admin@example.com"
"""The administrator's address."""


class Person:
    """A signed-in user with a client that sends their access token."""

    def __init__(
        self, client: httpx.AsyncClient, user_id: str, email: str, tokens: dict[str, Any]
    ) -> None:
        self.client = client
        self.id = user_id
        self.email = email
        self.tokens = tokens
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"


Login = Callable[..., Awaitable[Person]]
"""What the fixture ``login`` gives."""


def client_of(app: FastAPI, **options: Any) -> httpx.AsyncClient:
    """A client that speaks to an application in process, as a browser on another machine.

    ``options`` are those of ``httpx.AsyncClient``.
    """
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.0.2.1", 4000))
    return httpx.AsyncClient(transport=transport, base_url="http://testserver", **options)
