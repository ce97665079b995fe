"""Shows that only requests for the application's own names are answered, when it knows them."""

import httpx
import pytest

from tests.features.steps import JWKS, ME
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]


@pytest.fixture
def variables() -> dict[str, str]:
    return {"SERVER_TRUSTED_HOSTS": "api.example.org, *.shop.example, [::1], testserver"}


@pytest.mark.parametrize(
    "host",
    [
        "api.example.org",
        "API.Example.org",
        "api.example.org:8000",
        "a.shop.example",
        "a.b.shop.example:443",
        "[::1]",
        "[::1]:8000",
    ],
)
async def test_own_names_are_answered(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get(JWKS, headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "api.example.org.evil.example",
        "evilapi.example.org",
        "shop.example",
        "evilshop.example",
        "[::2]",
        "",
        ":80",
        "api.example.org@evil.example",
        "api.example.org/evil",
        "*.shop.example.evil",
    ],
)
async def test_other_names_are_refused(client: httpx.AsyncClient, host: str) -> None:
    for path in (JWKS, ME):
        problem(await client.get(path, headers={"Host": host}), 400, "bad_request")


class TestAnyName:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {}

    async def test_without_a_list_every_name_is_answered(self, client: httpx.AsyncClient) -> None:
        for host in ("evil.example", "x"):
            answer = await client.get(JWKS, headers={"Host": host})
            assert answer.status_code == 200

    async def test_no_answer_is_built_from_the_name(self, client: httpx.AsyncClient) -> None:
        headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
        for path in ("/docs", "/openapi.json", "/nope", ME):
            answer = await client.get(path, headers=headers)
            assert "evil" not in answer.text
            assert "evil" not in str(answer.headers)
