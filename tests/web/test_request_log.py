"""Shows what the line of a request says, and which requests have none."""

import httpx
import pytest

from backstay.testing import Login
from backstay.web import request_log
from tests.logs import logged

pytestmark = pytest.mark.anyio
ME, ITEM = "/api/v1/users/me", "/api/v1/items/01900000-0000-7000-8000-000000000000"


@pytest.fixture
def variables() -> dict[str, str]:
    return {"SERVER_LOG": "true", "SERVER_TRUSTED_PROXIES": "192.0.2.1"}


async def test_a_line_says_who_asked_for_what(login: Login) -> None:
    person = await login("user")
    with logged(request_log) as lines:
        answer = await person.client.get(ME, headers={"X-Forwarded-For": "192.0.2.7"})
        await person.client.get(ITEM)
        await person.client.head(ME)
    me, item, head = lines
    assert (me["event"], me["log_level"], me["method"]) == ("request", "info", "GET")
    assert (me["status"], me["route"], me["client"]) == (200, ME, "192.0.2.7")
    assert (me["bytes"], me["user_id"]) == (len(answer.content), answer.json()["id"])
    assert me["trace_id"] == answer.headers["traceparent"][3:35]
    assert (item["status"], item["log_level"]) == (404, "info")
    assert (item["path"], item["route"]) == (ITEM, "/api/v1/items/{id}")
    assert (head["status"], head["bytes"]) == (200, 0)


async def test_a_line_names_an_impersonator(login: Login) -> None:
    admin, user = await login("admin"), await login()
    answer = await admin.client.post(f"/api/v1/users/{user.id}/impersonate")
    with logged(request_log) as lines:
        user.client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        await user.client.get(ME)
        await admin.client.get(ME)
    told = [(line["user_id"], line.get("impersonator_id")) for line in lines]
    assert told == [(user.id, admin.id), (admin.id, None)]


async def test_a_strangers_line_names_no_user(client: httpx.AsyncClient) -> None:
    with logged(request_log) as lines:
        await client.get(ME)
        await client.get("/nowhere")
    assert [line["status"] for line in lines] == [401, 404]
    assert not [line for line in lines if "user_id" in line]
    assert "route" not in lines[1]


async def test_probes_and_scrapes_have_no_line(client: httpx.AsyncClient) -> None:
    with logged(request_log) as lines:
        for path in ("/livez", "/readyz", "/health", "/metrics"):
            assert (await client.get(path)).status_code == 200
    assert lines == []
