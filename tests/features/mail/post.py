"""Steps for scenarios with mail: deliver it, read it, follow its links."""

import re
from typing import Any

import httpx

from backstay.testing import Mails
from tests.features.steps import AUTH

TOKEN = re.compile(r"\?token=([\w-]+)")


class Post(Mails):
    """The mail of an application. Nothing is delivered until `deliver` is called."""

    async def reset_token(self, client: httpx.AsyncClient, email: str) -> str:
        """Ask for a new password; the token in the mail."""
        await self.deliver()
        await forgot(client, email)
        return await self.token(email)


async def forgot(client: httpx.AsyncClient, email: str) -> httpx.Response:
    answer = await client.post(f"{AUTH}/password/forgot", json={"email": email})
    assert answer.status_code == 202, answer.text
    return answer


async def reset(client: httpx.AsyncClient, token: str, password: str) -> httpx.Response:
    body = {"token": token, "new_password": password}
    return await client.post(f"{AUTH}/password/reset", json=body)


async def verify(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post(f"{AUTH}/email/verify", json={"token": token})


async def ask_for_address(client: httpx.AsyncClient, email: str, **fields: Any) -> httpx.Response:
    """Ask for another e-mail address."""
    body = {"email": email, "current_password": "correct horse battery", **fields}
    return await client.patch("/api/v1/users/me", json=body)
