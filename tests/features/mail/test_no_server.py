"""Shows that without a mail server no mail is promised, retried or lost."""

import io
import sys
from pathlib import Path

import httpx
import pytest
from sqlalchemy import delete

from backstay.composition import Backstay, compose
from backstay.jobs.tables import Job
from backstay.settings import Settings
from backstay.testing import ADMIN_EMAIL, FrozenClock, Login, settings_with, settle
from tests.features.mail.post import Post, forgot
from tests.features.steps import API, execute, register, running
from tests.jobs.steps import jobs
from tests.web.environments import STAGING

pytestmark = pytest.mark.anyio

TASKS = f"{API}/tasks"
REASON = "No mail server is configured: set MAIL_HOST, or MAIL_BACKEND; then repeat this."


@pytest.fixture
def variables() -> dict[str, str]:
    return STAGING


async def test_without_a_mail_server_the_job_fails_with_a_reason(
    client: httpx.AsyncClient, backstay: Backstay
) -> None:
    assert (await register(client, "ada@example.org")).status_code == 201
    await forgot(client, "ada@example.org")
    await settle(backstay)
    mails = [row for row in await jobs(backstay) if row.name == "SendMail"]
    told = {(row.state, row.error_code, row.error, row.attempts) for row in mails}
    assert told == {("failed", "mail.no_server", REASON, 1)}
    assert len(mails) == 2
    assert all(row.finished_at for row in await jobs(backstay))


async def test_a_failed_mail_can_be_repeated_with_a_server(
    backstay: Backstay, login: Login, seeded_url: str, tmp_path: Path
) -> None:
    admin = await login("admin")
    await settle(backstay)
    await execute(backstay, delete(Job))
    await register(admin.client, "ada@example.org")
    await settle(backstay)
    params = {"error_code": "mail.no_server"}
    (listed,) = (await admin.client.get(TASKS, params=params)).json()["items"]
    assert (await admin.client.post(f"{TASKS}/{listed['id']}/retry")).status_code == 200
    later = compose(settings_with(seeded_url, tmp_path, **STAGING, MAIL_BACKEND="file"))
    (mail,) = await Post(later).deliver()
    await later.close()
    assert (mail.recipient, "/verify-email?token=" in mail.text) == ("ada@example.org", True)
    assert (await admin.client.get(TASKS, params=params)).json()["items"] == []


async def test_a_missing_mail_server_is_logged_and_shown_by_health(
    settings: Settings, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", told := io.StringIO())
    async with running(settings, clock) as client:
        health = (await client.get("/health")).json()
        ready = await client.get("/readyz")
    (line,) = [line for line in told.getvalue().splitlines() if "no mail server" in line]
    for part in ("warning", "MAIL_HOST", "mail.no_server"):
        assert part in line
    assert (health["status"], health["checks"]["mail"]) == ("degraded", "degraded")
    assert ready.status_code == 200


async def test_no_answer_promises_a_mail(client: httpx.AsyncClient, login: Login) -> None:
    ann = await login()
    answers = [
        await forgot(client, ADMIN_EMAIL),
        await forgot(client, "nobody@example.org"),
        await ann.client.post(f"{API}/auth/email/verify/resend"),
    ]
    details = {answer.json()["detail"] for answer in answers}
    page = await client.post("/forgot-password", data={"email": ADMIN_EMAIL})
    details |= {detail for detail in details if detail not in page.text}
    assert details == {"No mail leaves this server before whoever runs it has named a mail server."}


class TestWithServer:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return STAGING | {"MAIL_HOST": "127.0.0.1"}

    async def test_with_a_mail_server_nothing_is_reported(self, client: httpx.AsyncClient) -> None:
        assert "mail" not in (await client.get("/health")).json()["checks"]
