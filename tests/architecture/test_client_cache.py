"""Shows which answers clients may cache: an answer that is not listed here must be `no-store`.

Who may see it? What does a client do wrong with one that is as old as ``CLIENT_CACHE_MAX_AGE``?
What a change of rights, or the end of a session, must reach at once is not kept.
"""

from types import ModuleType

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from backstay.core.bus import handles
from backstay.core.caching import Cached
from backstay.core.feature import Feature
from backstay.core.messages import Query, View
from backstay.core.permissions import SIGNED_IN
from backstay.features import STANDARD
from backstay.testing import Login, Person
from backstay.web.answers import for_clients
from backstay.web.dispatch import Route
from backstay.web.routes import Routes
from tests.architecture.edge import ANY_ID
from tests.features.route_walker import Target
from tests.features.steps import API

pytestmark = pytest.mark.anyio

KEPT = {
    f"{API}/rbac/permissions": "private, max-age=30",
    f"{API}/system/editable-resources": "private, max-age=30",
    f"{API}/tiers": "private, max-age=30",
    "/.well-known/jwks.json": "public, max-age=30",
    "/docs/assets/{name}": "public, max-age=86400",
}


def declared(app: FastAPI) -> dict[str, str]:
    """The routes whose message says that clients may keep the answer, and how."""
    reads = [r for r in app.routes if isinstance(r, Route) and r.spec.method == "GET"]
    kept = {r.path_format: for_clients(r.spec.message, 30).get("Cache-Control") for r in reads}
    return {path: said for path, said in kept.items() if said is not None}


async def told(app: FastAPI, admin: Person) -> tuple[dict[str, str], int]:
    """What the answers to every GET say, unless it is that nothing may be kept; how many answered
    with what was asked for."""
    target = await target_of(admin)
    found, successes = {}, 0
    for context in iter_route_contexts(app.routes):
        template = context.path_format or context.path or ""
        if "GET" not in (context.methods or ()):
            continue
        path = template.replace("assets/{name}", "assets/favicon.png")
        answer = await admin.client.get(target.path(path) if path.startswith(API) else path)
        successes += answer.is_success
        if answer.headers["cache-control"] != "no-store":
            found[template] = answer.headers["cache-control"]
    return found, successes


async def target_of(admin: Person) -> Target:
    async def first(path: str) -> str:
        answer: httpx.Response = await admin.client.get(f"{API}{path}")
        return str(answer.json()["items"][0]["id"])

    session, role = admin.tokens["session_id"], await first("/rbac/roles")
    permission = await first("/rbac/permissions")
    return Target(admin.id, "admin", session, ANY_ID, role, permission, ANY_ID)


async def test_clients_may_cache_only_the_listed_routes(app: FastAPI, login: Login) -> None:
    found, successes = await told(app, await login("admin"))
    assert found == KEPT
    assert successes > 25
    assert declared(app).items() <= KEPT.items()
    assert len(declared(app)) == len(KEPT) - 1  # all but the files of the documentation


class Secret(View):
    """What only its owner may see."""

    text: str = "hidden"


class GetSecret(Query[Secret]):
    """Read the secret."""

    permission = SIGNED_IN
    cache = Cached(client=True)


@handles(GetSecret)
async def get_secret(query: GetSecret) -> Secret:
    return Secret()


class TestWithAnother:
    @pytest.fixture
    def features(self) -> list[Feature]:
        module = ModuleType(__name__)
        vars(module).update(GetSecret=GetSecret, get_secret=get_secret)
        routes = Routes("", tag="secrets")
        routes.get("/secret", GetSecret)
        return [*STANDARD, Feature("secrets", modules=(module,), routes=(routes,))]

    async def test_another_cacheable_route_is_noticed(self, app: FastAPI, login: Login) -> None:
        found, _ = await told(app, await login("admin"))
        assert found == KEPT | {f"{API}/secret": "private, max-age=30"}
        assert f"{API}/secret" in declared(app)
