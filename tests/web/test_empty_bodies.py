"""A body whose fields all have defaults may be left out by a POST."""

import httpx
import pytest
from fastapi import FastAPI

from backstay.core.bus import handles
from backstay.core.feature import Feature
from backstay.core.messages import Command, View
from backstay.core.permissions import PUBLIC
from backstay.testing import Login
from backstay.web.routes import Routes
from tests.architecture.booting import feature
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]


class Counted(View):
    count: int


class Count(Command[Counted]):
    """Count."""

    permission = PUBLIC
    count: int = 3


@handles(Count)
async def count(command: Count) -> Counted:
    return Counted(count=command.count)


class CountTo(Command[Counted]):
    """Count to a number."""

    permission = PUBLIC
    count: int


@handles(CountTo)
async def count_to(command: CountTo) -> Counted:
    return Counted(count=command.count)


class CountAgain(Command[Counted]):
    """Count again."""

    permission = PUBLIC
    count: int = 3


@handles(CountAgain)
async def count_again(command: CountAgain) -> Counted:
    return Counted(count=command.count)


routes = Routes("/counts", tag="counts")
routes.post("", Count)
routes.post("/to", CountTo)
routes.patch("", CountAgain)


@pytest.fixture
def features(features: list[Feature]) -> list[Feature]:
    members = (Count, count, CountTo, count_to, CountAgain, count_again)
    return [*features, feature(*members, name="counts", routes=(routes,))]


async def test_a_body_of_defaults_may_be_left_out(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/v1/counts")).json() == {"count": 3}
    assert (await client.post("/api/v1/counts", json={"count": 4})).json() == {"count": 4}
    problem(await client.post("/api/v1/counts", content=b"x"), 422, "validation_error")
    problem(await client.post("/api/v1/counts/to"), 422, "validation_error")
    problem(await client.patch("/api/v1/counts"), 422, "validation_error")
    one = problem(await client.post("/api/v1/counts", json={"x": 1}), 422, "validation_error")
    assert one["detail"] == "1 field is not valid."


async def test_the_description_says_which_bodies_are_required(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    told = {
        (path, method): paths[f"/api/v1{path}"][method]["requestBody"]["required"]
        for path, method in (("/counts", "post"), ("/counts/to", "post"), ("/counts", "patch"))
    }
    assert told == {
        ("/counts", "post"): False,
        ("/counts/to", "post"): True,
        ("/counts", "patch"): True,
    }


async def test_a_wrong_sort_or_filter_names_the_known_ones(
    client: httpx.AsyncClient, login: Login
) -> None:
    person = await login("admin")

    async def fault(query: str) -> dict[str, str]:
        body = problem(await person.client.get(f"/api/v1/users?{query}"), 422, "validation_error")
        (one,) = body["errors"]
        found: dict[str, str] = one
        return found

    assert (await fault("sort=nothing"))["field"] == "sort"
    assert (await fault("sort=email,-email"))["field"] == "sort"
    unknown = await fault("nothing=1")
    assert (unknown["field"], unknown["code"]) == ("nothing", "extra_forbidden")
    assert ", sort, q" in unknown["message"]
    assert "email" in unknown["message"]
    assert "email__in" in (await fault("email__nothing=1"))["message"]
