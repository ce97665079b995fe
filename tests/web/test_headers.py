"""Shows the headers of every answer: request id, trace, security headers."""

import re

import httpx
import pytest

from backstay.testing import Login
from tests.features.steps import API, JWKS
from tests.web.environments import STAGING

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


async def answers(client: httpx.AsyncClient) -> list[httpx.Response]:
    """One answer of each kind: found, not found, not allowed, not valid, too large, not known."""
    return [
        await client.get(f"{API}/system/ping"),
        await client.get("/nope"),
        await client.put(JWKS),
        await client.post(f"{API}/users", json={}),
        await client.post(f"{API}/users", content=b"x" * 3_000_000),
        await client.get(f"{API}/users/me"),
        await client.post(f"{API}/auth/logout"),
    ]


async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient) -> None:
    for answer in await answers(client):
        for name, value in EVERYWHERE.items():
            assert answer.headers.get_list(name) == [value], (answer.status_code, name)
        assert "strict-transport-security" not in answer.headers
        assert "server" not in answer.headers
        assert "x-powered-by" not in answer.headers


async def test_cacheable_answers_have_the_other_security_headers(client: httpx.AsyncClient) -> None:
    answer = await client.get(JWKS)
    for name, value in (EVERYWHERE | {"cache-control": "public, max-age=30"}).items():
        assert answer.headers.get_list(name) == [value], name


class TestOutsideLocal:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return STAGING

    async def test_browsers_must_use_tls(self, client: httpx.AsyncClient) -> None:
        for answer in await answers(client):
            assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("given", ["abc", "A.b_c-9", "x" * 128])
async def test_a_well_formed_request_id_is_kept(client: httpx.AsyncClient, given: str) -> None:
    for path in (JWKS, "/nope"):
        answer = await client.get(path, headers={"X-Request-ID": given})
        assert answer.headers["x-request-id"] == given
    assert answer.json()["request_id"] == given


@pytest.mark.parametrize("given", ["", " ", "a b", "x" * 129, "é", "a;b", "<script>", "a,b", None])
async def test_any_other_request_id_is_replaced(
    client: httpx.AsyncClient, given: str | None
) -> None:
    headers = {} if given is None else {b"X-Request-ID": given.encode()}
    made = {(await client.get(JWKS, headers=headers)).headers["x-request-id"] for _ in "ab"}
    assert len(made) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", text) for text in made)


@pytest.mark.parametrize("flags", ["00", "01"])
async def test_a_trace_is_joined_by_a_span_of_its_own(
    client: httpx.AsyncClient, flags: str
) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-{flags}"}
    for path in (JWKS, "/nope"):
        told = (await client.get(path, headers=headers)).headers["traceparent"]
        version, trace, span, told_flags = told.split("-")
        assert (version, trace, told_flags) == ("00", TRACE, flags)
        assert re.fullmatch("[0-9a-f]{16}", span)
        assert span != PARENT


@pytest.mark.parametrize(
    ("rest", "flags"),
    [("01", "01"), ("00", "00"), ("01-", "01"), ("01-more-of-it", "01"), ("ff-what", "01")],
)
async def test_a_traceparent_of_a_later_version_is_joined(
    client: httpx.AsyncClient, rest: str, flags: str
) -> None:
    for version in ("01", "cc", "fe"):
        given = {"traceparent": f"{version}-{TRACE}-{PARENT}-{rest}"}
        told = (await client.get(JWKS, headers=given)).headers["traceparent"].split("-")
        assert (told[0], told[1], told[3]) == ("00", TRACE, flags)


async def test_two_traceparent_headers_are_ignored(client: httpx.AsyncClient) -> None:
    lines = [("traceparent", f"00-{TRACE}-{PARENT}-{flags}") for flags in ("01", "00")]
    assert TRACE not in (await client.get(JWKS, headers=lines)).headers["traceparent"]


@pytest.mark.parametrize(
    "given",
    [
        "",
        "garbage",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01-",
        f"01-{TRACE}-{PARENT}-01x",
        f"01-{TRACE}-{PARENT}-0",
        f"ff-{TRACE}-{PARENT}-01-more",
        f"FE-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\tx",
        f"00-{TRACE[:-1]}-{PARENT}-01",
    ],
)
async def test_an_invalid_traceparent_starts_a_new_trace(
    client: httpx.AsyncClient, given: str
) -> None:
    told = (await client.get(JWKS, headers={"traceparent": given})).headers["traceparent"]
    version, trace, span, flags = told.split("-")
    assert (version, flags) == ("00", "00")
    assert trace not in {TRACE, "0" * 32}
    assert len(trace) == 32
    assert len(span) == 16


async def test_personal_answers_are_not_stored(login: Login) -> None:
    person = await login()
    for path in (f"{API}/users/me", f"{API}/auth/sessions"):
        answer = await person.client.get(path)
        assert answer.headers["cache-control"] == "no-store"
