"""Shows which answers a client may cache, for how long, and how it revalidates one."""

import httpx
import pytest

from backstay.composition import Backstay
from backstay.testing import Login, Person
from tests.features.granting import grant
from tests.features.steps import API, JWKS, needs
from tests.web.problems import problem

pytestmark = [
    pytest.mark.anyio,
    needs("tiers"),
    pytest.mark.parametrize("database_kind", ["sqlite"]),
]

PERMISSIONS, TIERS = f"{API}/rbac/permissions", f"{API}/tiers"
RESOURCES = f"{API}/system/editable-resources"
GUARDED = {
    PERMISSIONS: "permissions:list",
    TIERS: "tiers:list",
    RESOURCES: "system:introspect",
}


def kept_as(answer: httpx.Response) -> tuple[str, set[str]]:
    """The Cache-Control and Vary of an answer."""
    vary = ",".join(answer.headers.get_list("vary")).lower()
    return answer.headers["cache-control"], {name.strip() for name in vary.split(",") if name}


FOR_ITSELF = ("private, max-age=30", {"authorization", "cookie", "origin"})
FOR_ALL = ("public, max-age=30", {"origin"})


@pytest.mark.parametrize("path", GUARDED)
async def test_private_answers_may_be_kept_by_their_client(login: Login, path: str) -> None:
    admin = await login("admin")
    first = await admin.client.get(path)
    assert kept_as(first) == FOR_ITSELF
    assert first.headers["etag"].startswith('"')
    again = await admin.client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert kept_as(again) == FOR_ITSELF
    assert kept_as(await admin.client.head(path)) == FOR_ITSELF


async def test_everybody_may_keep_the_public_keys(client: httpx.AsyncClient, login: Login) -> None:
    first = await client.get(JWKS)
    assert kept_as(first) == FOR_ALL
    for person in (client, (await login()).client):
        again = await person.get(JWKS, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, kept_as(again)) == (304, FOR_ALL)


@pytest.mark.parametrize("path", GUARDED)
async def test_refusals_are_not_kept(client: httpx.AsyncClient, login: Login, path: str) -> None:
    answers = {
        401: await client.get(path),
        403: await (await login()).client.get(path),
        422: await (await login("admin")).client.get(f"{path}?nope=1"),
    }
    for status, answer in answers.items():
        problem(answer, status)
        assert answer.headers["cache-control"] == "no-store"


async def test_a_changed_list_has_another_tag(login: Login) -> None:
    admin = await login("admin")
    for method, at, body in (
        ("POST", TIERS, {"name": "gold"}),
        ("PATCH", f"{TIERS}/gold", {"description": "all that glitters"}),
        ("DELETE", f"{TIERS}/gold", None),
    ):
        for path in (TIERS, f"{TIERS}?limit=10"):
            before = await admin.client.get(path)
            condition = {"If-None-Match": before.headers["etag"]}
            assert (await admin.client.get(path, headers=condition)).status_code == 304
        assert (await admin.client.request(method, at, json=body)).is_success
        after = await admin.client.get(path, headers=condition)
        assert after.status_code == 200
        assert after.json() != before.json()


async def test_if_match_holds_for_a_list_that_has_a_tag(login: Login) -> None:
    admin = await login("admin")
    tag = (await admin.client.get(TIERS)).headers["etag"]
    assert (await admin.client.get(TIERS, headers={"If-Match": tag})).status_code == 200
    problem(await admin.client.get(TIERS, headers={"If-Match": '"other"'}), 412)


async def test_without_permission_a_known_tag_reveals_nothing(
    login: Login, backstay: Backstay
) -> None:
    """A client revalidates an expired answer with the tag of what it was once allowed to see."""
    for path, key in GUARDED.items():
        person: Person = await login()
        await grant(backstay, person.id, key, role=f"reader of {key}")
        tag = (await person.client.get(path)).headers["etag"]
        admin = await login("admin")
        held = (await admin.client.get(f"{API}/rbac/users/{person.id}/roles")).json()["items"]
        (role,) = (each["id"] for each in held if each["name"] == f"reader of {key}")
        revoked = await admin.client.delete(f"{API}/rbac/roles/{role}/users/{person.id}")
        assert revoked.status_code == 204, revoked.text
        for condition in ({}, {"If-None-Match": tag}, {"If-None-Match": "*"}):
            problem(await person.client.get(path, headers=condition), 403, "forbidden")


class TestSwitchedOff:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"CLIENT_CACHE_MAX_AGE": "0"}

    async def test_without_client_caching_etags_are_still_sent(self, login: Login) -> None:
        admin = await login("admin")
        for path in (*GUARDED, JWKS):
            answer = await admin.client.get(path)
            assert kept_as(answer) == ("no-store", {"origin"})
            assert answer.headers["etag"]


class TestForLonger:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"CLIENT_CACHE_MAX_AGE": "3600", "CACHE_TTL_SECONDS": "0"}

    async def test_the_setting_decides_how_long(self, login: Login) -> None:
        admin = await login("admin")
        for path in GUARDED:
            assert kept_as(await admin.client.get(path))[0] == "private, max-age=3600"
        assert kept_as(await admin.client.get(JWKS))[0] == "public, max-age=3600"
