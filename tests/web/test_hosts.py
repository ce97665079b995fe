"""Shows that only requests for the configured host names are answered."""

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
async def test_requests_for_own_names_are_answered(client: httpx.AsyncClient, host: str) -> None:
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


@pytest.mark.parametrize("second", ["evil.example", "api.example.org"])
async def test_a_second_name_is_refused(client: httpx.AsyncClient, second: str) -> None:
    for pair in (("api.example.org", second), (second, "api.example.org")):
        lines = [("Host", name) for name in pair]
        problem(await client.get(JWKS, headers=lines), 400, "bad_request")


class TestAnyName:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {}

    async def test_without_a_list_every_name_is_answered(self, client: httpx.AsyncClient) -> None:
        for host in ("evil.example", "x"):
            answer = await client.get(JWKS, headers={"Host": host})
            assert answer.status_code == 200

    @pytest.mark.parametrize(
        "host",
        [
            *(
                "xn--bcher-kva.example:8000",
                "my_app",
                "127.0.0.1:80",
                "[::1]",
                "[fe80::1%25eth0]:80",
            ),
            *("a.", "a:", "%61.example"),
        ],
    )
    async def test_a_name_with_a_port_is_a_name(self, client: httpx.AsyncClient, host: str) -> None:
        assert (await client.get(JWKS, headers={"Host": host})).status_code == 200

    @pytest.mark.parametrize(
        "host",
        [
            *(
                "",
                ":80",
                "a b",
                "a/b",
                "u@a",
                "a,b",
                "a, b",
                "a:b",
                "[::1",
                "::1",
                "b\xfccher.example",
            ),
            *("a#b", "a?b", "http://a", '"a"', "<a>", "a\\b"),
        ],
    )
    async def test_an_invalid_name_is_refused(self, client: httpx.AsyncClient, host: str) -> None:
        answer = await client.get(JWKS, headers={b"Host": host.encode("latin-1")})
        problem(answer, 400, "bad_request")

    async def test_two_names_are_refused(self, client: httpx.AsyncClient) -> None:
        for path in (JWKS, "/nope", ME, "/livez"):
            lines = [("Host", "a.example"), ("Host", "a.example")]
            problem(await client.get(path, headers=lines), 400, "bad_request")

    async def test_no_answer_is_built_from_the_name(self, client: httpx.AsyncClient) -> None:
        headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
        for path in ("/docs", "/openapi.json", "/nope", ME):
            answer = await client.get(path, headers=headers)
            assert "evil" not in answer.text
            assert "evil" not in str(answer.headers)
