"""Shows which client address counts behind proxies, from the socket to the rate limit."""

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.requests import Request

from backstay.application import create_app
from backstay.settings import Settings
from backstay.testing import ADMIN_EMAIL
from backstay.web.state import sender_of
from tests.features.steps import AUTH, bearer, client_at, sign_in

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

PROXY, OUTSIDE = "10.0.0.7", "192.0.2.1"


async def seen_address(client: httpx.AsyncClient, **headers: str) -> str:
    """The address with which a sign-in is recorded."""
    body = {"email": ADMIN_EMAIL, "password": "correct horse battery", "transport": "body"}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await client.post(f"{AUTH}/login", json=body, headers=sent)
    tokens = answer.json()
    listed = await client.get(f"{AUTH}/sessions", headers=bearer(tokens["access_token"]))
    (session,) = (row for row in listed.json()["items"] if row["id"] == tokens["session_id"])
    address: str = session["address"]
    return address


class TestBehindTrustedProxies:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"SERVER_TRUSTED_PROXIES": "10.0.0.0/8, 2001:db8:ff::/48"}

    @pytest.mark.parametrize(
        ("forwarded", "address"),
        [
            ("203.0.113.5", "203.0.113.5"),
            ("1.1.1.1, 203.0.113.5", "203.0.113.5"),
            ("203.0.113.5, 10.9.9.9", "203.0.113.5"),
            ("1.1.1.1, 203.0.113.5, 10.9.9.9, 2001:db8:ff::1", "203.0.113.5"),
            ("2001:db8::5", "2001:db8::5"),
            ("::ffff:203.0.113.5", "203.0.113.5"),
            ("127.0.0.1", "127.0.0.1"),
            ("1.1.1.1, garbage", PROXY),
            ("garbage, 10.9.9.9", PROXY),
            ("unknown", PROXY),
            ("", PROXY),
            ("203.0.113.5:4711", "203.0.113.5"),
            ("[2001:db8::5]:443, [2001:db8:ff::1]:443", "2001:db8::5"),
            (f"fe80::5%{'x' * 100}", "fe80::5"),
            ("203.0.113.5:port", PROXY),
            ("10.1.1.1, 10.2.2.2", PROXY),
            (",,,", PROXY),
        ],
    )
    async def test_the_first_untrusted_address_from_the_right_counts(
        self, app: FastAPI, forwarded: str, address: str
    ) -> None:
        async with client_at(app, PROXY) as client:
            assert await seen_address(client, x_forwarded_for=forwarded) == address

    async def test_several_headers_are_one_list(self, app: FastAPI) -> None:
        async with client_at(app, PROXY) as client:
            client.headers = httpx.Headers(
                [("x-forwarded-for", "203.0.113.5"), ("x-forwarded-for", "10.9.9.9")]
            )
            assert await seen_address(client) == "203.0.113.5"

    async def test_the_header_is_ignored_from_untrusted_peers(self, app: FastAPI) -> None:
        async with client_at(app, OUTSIDE) as client:
            assert await seen_address(client, x_forwarded_for="203.0.113.5") == OUTSIDE

    async def test_other_forwarding_headers_are_ignored(self, app: FastAPI) -> None:
        others = {"forwarded": "for=203.0.113.5", "x_real_ip": "203.0.113.5"}
        async with client_at(app, PROXY) as client:
            assert await seen_address(client, **others) == PROXY

    async def test_the_header_is_read_once_per_request(self, settings: Settings) -> None:
        router = APIRouter()

        @router.get("/own")
        async def own(request: Request) -> str:
            request.scope["headers"] = []
            return sender_of(request).origin.address

        async with client_at(create_app(settings, routers=[router]), PROXY) as client:
            answer = await client.get("/own", headers={"X-Forwarded-For": "203.0.113.5"})
            assert answer.json() == "203.0.113.5"


class TestUnderLimits:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {
            "SERVER_TRUSTED_PROXIES": "10.0.0.0/8",
            "RATE_LIMIT_ENABLED": "true",
            "SECURITY_LOGIN_RATE_LIMIT": "1/minute",
        }

    async def test_each_client_behind_a_proxy_has_its_budget(self, app: FastAPI) -> None:
        async with client_at(app, PROXY) as client:
            statuses = []
            for forwarded in ("203.0.113.5", "203.0.113.6", "9.9.9.9, 203.0.113.5"):
                client.headers["X-Forwarded-For"] = forwarded
                statuses.append((await sign_in(client, ADMIN_EMAIL)).status_code)
        assert statuses == [200, 200, 429]

    async def test_a_port_gets_no_separate_budget(self, app: FastAPI) -> None:
        async with client_at(app, PROXY) as client:
            statuses = []
            for forwarded in ("203.0.113.5:1", "203.0.113.6:1", "203.0.113.5:2"):
                client.headers["X-Forwarded-For"] = forwarded
                statuses.append((await sign_in(client, ADMIN_EMAIL)).status_code)
        assert statuses == [200, 200, 429]

    async def test_an_invalid_address_gets_no_separate_budget(self, app: FastAPI) -> None:
        async with client_at(app, PROXY) as client:
            statuses = []
            for forwarded in ("one", "1.1.1.1, two", "203.0.113.5:x"):
                client.headers["X-Forwarded-For"] = forwarded
                statuses.append((await sign_in(client, ADMIN_EMAIL)).status_code)
        assert statuses == [200, 429, 429]

    async def test_clients_cannot_forge_their_address(self, app: FastAPI) -> None:
        async with client_at(app, OUTSIDE) as client:
            statuses = []
            for number in range(3):
                client.headers["X-Forwarded-For"] = f"203.0.113.{number}"
                statuses.append((await sign_in(client, ADMIN_EMAIL)).status_code)
        assert statuses == [200, 429, 429]


async def test_without_trusted_proxies_the_peer_counts(app: FastAPI) -> None:
    for peer in (PROXY, "127.0.0.1", OUTSIDE):
        async with client_at(app, peer) as client:
            assert await seen_address(client, x_forwarded_for="203.0.113.5") == peer
