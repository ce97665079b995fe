"""Shows that an outage of the mail server delays mail, and nothing else."""

from typing import Any

import httpx
import pytest

from backstay.composition import Backstay
from backstay.testing import FrozenClock, Login, settle
from backstay.testing.ports import free_port
from tests.features.mail.post import TOKEN, forgot, reset
from tests.features.steps import API, OTHER_PASSWORD, register, sign_in
from tests.jobs.steps import drain_again, jobs
from tests.services.smtp import smtp_server

pytestmark = pytest.mark.anyio

PORT = free_port()


@pytest.fixture
def variables() -> dict[str, str]:
    return {
        "MAIL_BACKEND": "smtp",
        "MAIL_HOST": "127.0.0.1",
        "MAIL_PORT": str(PORT),
        "MAIL_TLS": "none",
        "MAIL_FROM": "Shop <shop@example.org>",
    }


async def waiting(backstay: Backstay) -> list[Any]:
    """The jobs that will be retried."""
    return [row for row in await jobs(backstay) if row.finished_at is None]


async def test_mail_leaves_once_the_server_is_back(
    client: httpx.AsyncClient, backstay: Backstay
) -> None:
    assert (await register(client, "ada@example.org")).status_code == 201
    await forgot(client, "ada@example.org")
    await settle(backstay)
    late = await waiting(backstay)
    assert {(row.name, row.state, row.error_code) for row in late} == {
        ("SendMail", "queued", "mail.not_sent")
    }
    assert f"127.0.0.1:{PORT}" in late[0].error
    with smtp_server(PORT) as box:
        while await drain_again(backstay):
            """A worker that was busy may have left some."""
        mails = {mail["Subject"].split()[0]: mail for mail in box.mails}
    assert mails.keys() == {"Set", "Confirm"}
    assert {mail["To"] for mail in box.mails} == {"ada@example.org"}
    assert {mail["From"] for mail in box.mails} == {"Shop <shop@example.org>"}
    body = mails["Set"].get_body(("plain",))
    assert body is not None
    (token,) = TOKEN.findall(body.get_content())
    assert (await reset(client, token, OTHER_PASSWORD)).status_code == 204
    answer = await sign_in(client, "ada@example.org", password=OTHER_PASSWORD)
    assert answer.status_code == 200
    await settle(backstay)
    assert await waiting(backstay) == []


async def test_a_permanently_refused_recipient_is_not_tried_again(
    client: httpx.AsyncClient, backstay: Backstay
) -> None:
    with smtp_server(PORT) as box:
        box.refused["gone@example.org"] = "550 no such mailbox, says the server"
        box.refused["full@example.org"] = "452 try again"
        for name in ("gone", "full"):
            await register(client, f"{name}@example.org")
        await settle(backstay)
    told = [(r.state, r.error_code, r.error) for r in await jobs(backstay) if r.name == "SendMail"]
    place = f"The mail server 127.0.0.1:{PORT} refuses the recipient"
    assert sorted(told) == [
        ("failed", "mail.refused", f"{place} (550)."),
        ("queued", "mail.not_sent", f"{place} (452)."),
    ]


class TestInternational:
    @pytest.fixture
    def variables(self, variables: dict[str, str]) -> dict[str, str]:
        return {**variables, "MAIL_FROM": "Shop <shop@bücher.example>"}

    async def test_a_mail_is_sent_or_given_up_at_once(
        self, client: httpx.AsyncClient, backstay: Backstay
    ) -> None:
        with smtp_server(PORT, with_utf8=False) as box:
            await register(client, "ada@bücher.example")
            await register(client, "büro@example.org")
            await settle(backstay)
            box.verdict = "554 this looks like advertising, says the server"
            await register(client, "eve@example.org")
            await settle(backstay)
        assert box.senders == ["shop@xn--bcher-kva.example"]
        assert box.recipients == ["ada@xn--bcher-kva.example"]
        rows = [row for row in await jobs(backstay) if row.name == "SendMail"]
        told = sorted((row.state, row.error_code, row.attempts) for row in rows)
        assert told == [
            ("failed", "mail.refused", 1),
            ("failed", "mail.refused", 1),
            ("succeeded", None, 1),
        ]


async def test_an_administrator_reads_why_mail_waits_and_nothing_private(
    client: httpx.AsyncClient, backstay: Backstay, login: Login
) -> None:
    admin = await login("admin")
    with smtp_server(PORT) as box:
        box.refused["ada@example.org"] = "451 ada@example.org greylisted, says the server"
        await register(client, "ada@example.org")
        await settle(backstay)
    params = {"name": "SendMail", "error_code": "mail.not_sent", "state": "queued"}
    (listed,) = (await admin.client.get(f"{API}/tasks", params=params)).json()["items"]
    answer = await admin.client.get(f"{API}/tasks/{listed['id']}")
    assert answer.json()["error"] == (
        f"The mail server 127.0.0.1:{PORT} refuses the recipient (451)."
    )
    assert "ada@" not in answer.text
    assert "greylisted" not in answer.text


async def test_a_link_that_expired_meanwhile_is_not_sent(
    client: httpx.AsyncClient, backstay: Backstay, clock: FrozenClock
) -> None:
    await register(client, "ada@example.org")
    await settle(backstay)
    clock.forward(hours=24)
    with smtp_server(PORT) as box:
        await drain_again(backstay)
        assert box.mails == []
    assert await waiting(backstay) == []
