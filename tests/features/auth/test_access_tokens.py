"""Shows what an access token holds, and that nothing else is accepted."""

from typing import Any

import httpx
import pytest

from backstay.composition import Backstay
from backstay.testing import FrozenClock, Login, Person
from tests.features.auth.forging import Forger, taken_apart, unsigned
from tests.features.steps import AUTH, JWKS, ME, bearer, is_signed_in, refresh
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

SKEW, LIFE = 30, 900
NOBODY = "01a1fdc6-0000-7000-8000-000000000000"


@pytest.fixture
async def person(login: Login) -> Person:
    return await login()


@pytest.fixture
def forge(backstay: Backstay, person: Person) -> Forger:
    return Forger(backstay, person.tokens["access_token"])


def now(clock: FrozenClock) -> int:
    return int(clock().timestamp())


async def test_a_token_says_what_it_must_and_no_more(person: Person, clock: FrozenClock) -> None:
    header, claims = taken_apart(person.tokens["access_token"])
    assert set(header) == {"alg", "kid", "typ"}
    assert (header["alg"], header["typ"]) == ("HS256", "at+jwt")
    assert set(claims) == {"iss", "aud", "sub", "iat", "exp", "jti", "sid"}
    assert (claims["iss"], claims["aud"]) == ("backstay", "backstay")
    assert (claims["sub"], claims["sid"]) == (person.id, person.tokens["session_id"])
    assert claims["iat"] == now(clock)
    assert claims["exp"] - claims["iat"] == LIFE == person.tokens["expires_in"]


async def test_no_two_tokens_have_one_id(person: Person) -> None:
    again = (await refresh(person.client, person.tokens["refresh_token"])).json()["access_token"]
    claims = [taken_apart(token)[1] for token in (person.tokens["access_token"], again)]
    assert claims[0]["jti"] != claims[1]["jti"]


async def test_the_test_helper_forges_valid_tokens(
    client: httpx.AsyncClient, forge: Forger
) -> None:
    assert await is_signed_in(client, forge())
    assert await is_signed_in(client, forge(aud=["other", "backstay"]))


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "iat", "exp", "jti", "sid"])
async def test_every_claim_is_required(
    client: httpx.AsyncClient, forge: Forger, claim: str
) -> None:
    answer = await client.get(ME, headers=bearer(forge(**{claim: None})))
    problem(answer, 401, "auth_error")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "another"},
        {"iss": ["backstay"]},
        {"aud": "another"},
        {"aud": []},
        {"aud": ""},
        {"sub": "ada"},
        {"sub": 5},
        {"sub": NOBODY},
        {"sub": ""},
        {"sid": NOBODY},
        {"sid": 5},
        {"sid": ["x"]},
        {"exp": "never"},
        {"exp": -1},
        {"exp": 0},
        {"exp": True},
        {"iat": "now"},
        {"iat": 10**30},
    ],
    ids=str,
)
async def test_claims_of_another_kind_are_refused(
    client: httpx.AsyncClient, forge: Forger, claims: dict[str, Any]
) -> None:
    problem(await client.get(ME, headers=bearer(forge(**claims))), 401, "auth_error")


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": None},
        {"typ": "refresh+jwt"},
        {"typ": "AT+JWT "},
        {"typ": ["at+jwt"]},
        {"kid": None},
        {"kid": "0123456789abcdef"},
        {"kid": "../../dev/null"},
        {"kid": {}},
        {"alg": "HS384"},
        {"alg": "HS512"},
        {"crit": ["exp"], "exp": 1},
    ],
    ids=str,
)
async def test_headers_of_another_kind_are_refused(
    client: httpx.AsyncClient, forge: Forger, header: dict[str, Any]
) -> None:
    problem(await client.get(ME, headers=bearer(forge(header=header))), 401, "auth_error")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS256"])
async def test_a_token_without_signature_is_refused(
    client: httpx.AsyncClient, forge: Forger, algorithm: str
) -> None:
    for signature in ("", "AA"):
        token = unsigned(forge.header | {"alg": algorithm}, forge.claims, signature)
        problem(await client.get(ME, headers=bearer(token)), 401, "auth_error")


async def test_a_key_that_comes_with_the_token_is_ignored(
    client: httpx.AsyncClient, forge: Forger
) -> None:
    jwk = {"kty": "oct", "k": "YXR0YWNrZXItYXR0YWNrZXItYXR0YWNrZXItYXR0YWNrZXI"}
    for header in (
        {"jwk": jwk},
        {"jku": "https://evil.example/jwks.json"},
        {"jwk": jwk, "kid": ""},
    ):
        token = forge(header=header, key=b"attacker-attacker-attacker-attacker")
        problem(await client.get(ME, headers=bearer(token)), 401, "auth_error")


async def test_every_part_of_a_token_is_protected(
    client: httpx.AsyncClient, person: Person
) -> None:
    token = person.tokens["access_token"]
    for at in range(0, len(token), 7):
        letter = "A" if token[at] != "A" else "B"
        tampered = token[:at] + letter + token[at + 1 :]
        assert not await is_signed_in(client, tampered), at


async def test_token_times_have_a_small_tolerance(
    client: httpx.AsyncClient, forge: Forger, clock: FrozenClock
) -> None:
    for claims, is_accepted in (
        ({"iat": now(clock) + SKEW}, True),
        ({"iat": now(clock) + SKEW + 2}, False),
        ({"nbf": now(clock) + SKEW}, True),
        ({"nbf": now(clock) + SKEW + 2}, False),
        ({"nbf": "later"}, False),
        ({"exp": now(clock) - SKEW + 2}, True),
        ({"exp": now(clock) - SKEW - 2}, False),
    ):
        assert await is_signed_in(client, forge(**claims)) is is_accepted, claims


async def test_a_token_that_was_accepted_before_still_expires(
    client: httpx.AsyncClient, person: Person, clock: FrozenClock
) -> None:
    token = person.tokens["access_token"]
    assert await is_signed_in(client, token)
    clock.forward(seconds=LIFE - 1)
    assert await is_signed_in(client, token)
    clock.forward(seconds=SKEW + 2)
    assert not await is_signed_in(client, token)


async def test_a_token_must_name_the_user_of_its_session(
    client: httpx.AsyncClient, login: Login, forge: Forger
) -> None:
    admin = await login("admin")
    assert not await is_signed_in(client, forge(sub=admin.id))
    assert not await is_signed_in(client, forge(sid=admin.tokens["session_id"]))


async def test_tokens_are_not_interchangeable(client: httpx.AsyncClient, person: Person) -> None:
    access, refresh_token = person.tokens["access_token"], person.tokens["refresh_token"]
    assert not await is_signed_in(client, refresh_token)
    problem(await refresh(client, access), 401, "auth_error")
    answer = await client.post(f"{AUTH}/refresh", headers=bearer(access))
    problem(answer, 401, "auth_error")
    cookie = {"Cookie": f"refresh_token={access}"}
    answer = await client.post(f"{AUTH}/refresh", headers=cookie)
    problem(answer, 401, "auth_error")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer ..",
        "Bearer é",
        "Basic dXNlcjpwYXNz",
        "Token x",
        "Bearer " + "a" * 50_000,
        "Bearer " + ".".join(["W10"] * 3),
        "Bearer " + ".".join(["bnVsbA"] * 3),
        "Bearer " + ".".join(["e30"] * 5),
    ],
    ids=lambda value: value[:20] or "empty",
)
async def test_garbage_is_no_access_token(client: httpx.AsyncClient, authorization: str) -> None:
    answer = await client.get(ME, headers={b"Authorization": authorization.encode()})
    problem(answer, 401, "auth_error")


async def test_the_authentication_scheme_is_case_insensitive(
    client: httpx.AsyncClient, person: Person
) -> None:
    for scheme in ("bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {person.tokens['access_token']}"}
        assert (await client.get(ME, headers=headers)).status_code == 200


async def test_a_token_in_the_query_is_refused(client: httpx.AsyncClient, person: Person) -> None:
    params = {"access_token": person.tokens["access_token"]}
    problem(await client.get(ME, params=params), 401, "auth_error")


async def test_public_routes_ignore_credentials_they_cannot_use(client: httpx.AsyncClient) -> None:
    for value in ("Bearer x", "Basic Zm9vOmJhcg==", "nonsense"):
        answer = await client.get(JWKS, headers={"Authorization": value})
        assert answer.status_code == 200
