"""Steps for scenarios with mail: deliver it, read it, follow its links."""

import re
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from backstay.composition import Backstay
from backstay.core.mail import KeptMail, Mail
from backstay.mailing.local import FileMailer
from tests.features.steps import AUTH
from tests.jobs.steps import settle

TOKEN = re.compile(r"\?token=([\w-]+)")


class Post:
    """The mail of an application. Nothing is delivered until `deliver` is called."""

    def __init__(self, backstay: Backstay) -> None:
        self.backstay = backstay
        self._box = FileMailer(Path(backstay.settings.mail.dir), "", backstay.clock)
        self._seen: set[UUID] = set()

    async def deliver(self) -> list[Mail]:
        """Run the waiting jobs; the mails that are new since the last call, oldest first."""
        await settle(self.backstay)
        kept: list[KeptMail] = [m for m in await self._box.mails() if m.id not in self._seen]
        self._seen.update(each.id for each in kept)
        return [each.mail for each in sorted(kept, key=lambda each: each.id)]

    async def token(self, recipient: str) -> str:
        """The token in the latest new mail to a recipient."""
        return token_in([m for m in await self.deliver() if m.recipient == recipient][-1])

    async def reset_token(self, client: httpx.AsyncClient, email: str) -> str:
        """Ask for a new password; the token in the mail."""
        await self.deliver()
        await forgot(client, email)
        return await self.token(email)


def token_in(mail: Mail) -> str:
    """The token of the one link that is in both forms of a mail."""
    (token,) = set(TOKEN.findall(mail.text)) | set(TOKEN.findall(mail.html))
    return str(token)


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
