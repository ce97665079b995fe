"""Sets up the probes of each axis of growth: what grows, and what is asked of it."""

import json
import os
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from backstay.application import create_app
from backstay.caching.memory import MemoryCache
from backstay.core.bus import handles
from backstay.core.feature import Feature
from backstay.core.jobs import TASK_QUEUE
from backstay.core.listing import Text
from backstay.core.messages import Query
from backstay.core.permissions import PUBLIC, Scope
from backstay.features import STANDARD
from backstay.features.access.commands.grants import GrantPermission
from backstay.features.access.commands.members import AssignRole
from backstay.features.access.commands.roles import CreateRole
from backstay.features.access.queries.permissions import ListPermissions
from backstay.features.auth.queries.principals import GetPrincipal
from backstay.features.system.schemas.probes import Alive
from backstay.web.routes import Routes
from benchmarks import filling
from benchmarks.filling import Base, Person
from benchmarks.ground import Ground
from benchmarks.job_runs import Rest, Store, rest, store
from benchmarks.load import Request
from benchmarks.stage import PASSWORD

API = "/api/v1"
DATABASES = ("PostgreSQL", "SQLite")
ROLES = (1, 10, 50, 100)
ROUTES = (10, 100, 1000)
FEATURES = (10, 100, 300)
OF_A_USER = (1, 10, 100, 1000, 10_000)
TAGS = (100, 1000, 10_000, 100_000)
LEVELS = 100
"""The levels of roles are spread over so many."""


async def rows(ground: Ground) -> None:
    """Items of one person, and as many rows of the audit trail."""
    for database in DATABASES:
        for size in ground.sizes_of(database):
            base = await ground.base(database)
            person = await base.register("many")
            await base.fill("items", filling.item(person.id), size)
            await base.fill("activity", filling.activity(person.id), size)
            first, middle = await base.items(person.id)
            server = ground.serve(base)
            asked = partial(_get, person=person)
            deep = f"{API}/items?limit=20&cursor={base.cursor(middle)}"
            last = f"{API}/items?total=false&page={max(1, size // 20 // 2)}"
            flat = {
                "by id": asked(f"{API}/items/{first}"),
                "keyset": asked(f"{API}/items?limit=20"),
                "keyset, half way": asked(deep),
                "create": _create(person),
            }
            growing = {
                "page 1, no total": asked(f"{API}/items?total=false"),
                "page 1 and total": asked(f"{API}/items"),
                "offset, half way": asked(last),
                "search": asked(f"{API}/items?q=nothing"),
            }
            for name, request in (flat | growing).items():
                must = name in flat
                measure = ground.asked(server, request)
                ground.add("rows", f"{name}, {database}", size, measure, must_be_flat=must)


async def roles(ground: Ground) -> None:
    """Roles of one user, each with its own grants on items."""
    base = await ground.base("PostgreSQL")
    made: list[UUID] = []
    server = None
    for size in ROLES:
        while len(made) < size - 1:
            made.append(await _role(base, len(made)))
        person = await base.register(f"roles{size}")
        for role_id in made:
            await base.backstay.system(AssignRole(role_id=role_id, user_id=person.id))
        await base.fill("items", filling.item(person.id), 100)
        first, _ = await base.items(person.id)
        server = server or ground.serve(base)
        for name, request in _usual(person, first).items():
            ground.add("roles of a user", name, size, ground.asked(server, request))


async def routes(ground: Ground) -> None:
    """Routes besides those of the package, all in one feature."""
    await _sized(ground, "routes", ROUTES, lambda size: {"GROWTH_ROUTES": str(size)})


async def features(ground: Ground) -> None:
    """Features besides those of the package, each with a query, a handler and a route."""
    await _sized(ground, "features", FEATURES, lambda size: {"GROWTH_FEATURES": str(size)})


async def sessions(ground: Ground) -> None:
    """Live sessions of one user, and of all users together."""
    for axis, sizes in (("sessions of a user", OF_A_USER), ("sessions in all", ground.sizes)):
        for size in sizes:
            base = await ground.base("PostgreSQL")
            person, other = await base.register("one"), await base.register("other")
            whose = person if sizes is OF_A_USER else other
            await base.fill("sessions", filling.session(whose.id), size)
            server = ground.serve(base)
            sign_in = {"email": person.email, "password": PASSWORD}
            me, listed = (_get(f"{API}{path}", person) for path in ("/users/me", "/auth/sessions"))
            login = Request(f"{API}/auth/login", "POST", json.dumps(sign_in))
            ground.add(axis, "me", size, ground.asked(server, me))
            ground.add(axis, "sign in", size, ground.asked(server, login))
            load = partial(base.backstay.system, GetPrincipal(session_id=person.session_id))
            ground.add(axis, "principal, not cached", size, ground.called(load))
            measure = ground.asked(server, listed)
            must = sizes is not OF_A_USER
            ground.add(axis, "list my sessions", size, measure, must_be_flat=must)


async def tags(ground: Ground) -> None:
    """Entries of the cache in process, each with a tag of its own and one in common."""
    for size in TAGS:
        cache = MemoryCache(CollectorRegistry(), max_entries=10**9, max_bytes=10**12)
        for number in range(size):
            await cache.set(f"key {number}", b"x" * 500, ttl=9e9, tags=(f"tag {number}", "all"))
        read = partial(cache.get, "key 7", tags=("tag 7", "all"))
        ground.add("tags in the cache", "read", size, ground.called(read, times=200))
        change = partial(_change, cache)
        ground.add("tags in the cache", "invalidate, keep", size, ground.called(change, times=100))


async def jobs(ground: Ground) -> None:
    """Jobs that wait: for any worker, started by users, or one behind the other."""
    kinds: dict[str, dict[str, Any]] = {
        "": {},
        ", all are tasks": {"queue": TASK_QUEUE},
        ", all in one sequence": {"sequence": "one"},
    }
    module = ModuleType(Rest.__module__)
    vars(module).update({"Rest": Rest, "rest": rest, "Store": Store, "store": store})
    known = [*STANDARD, Feature("bench", modules=(module,))]
    for database in DATABASES:
        for kind, options in kinds.items():
            for size in ground.sizes_of(database):
                base = await ground.base(database, features=known)
                await base.fill("jobs", filling.job(**options), size)
                claim = ground.called(partial(_claim, base))
                ground.add("jobs waiting", f"claim{kind}, {database}", size, claim)
                if not kind:
                    _add_others(ground, base, size, database)


def _add_others(ground: Ground, base: Base, size: int, database: str) -> None:
    enqueue = ground.called(partial(base.backstay.system, Store()))
    ground.add("jobs waiting", f"enqueue, {database}", size, enqueue)
    backlog = ground.called(base.backstay.worker_context.outbox.store.backlog)
    ground.add("jobs waiting", f"count, {database}", size, backlog, must_be_flat=False)


def sized() -> FastAPI:
    """The standard application and so many routes or features more as the environment says."""
    return create_app(features=[*STANDARD, *_further()])


def _further() -> list[Feature]:
    count = int(os.environ.get("GROWTH_ROUTES", "0"))
    if count:
        return [_feature("bench", count)]
    return [_feature(f"bench{n}", 1) for n in range(int(os.environ["GROWTH_FEATURES"]))]


def _feature(name: str, count: int) -> Feature:
    """A feature with one query and so many routes to it."""
    query: type[Query[Alive]] = type(
        f"Ping{name.title()}",
        (Query[Alive],),
        {"permission": PUBLIC, "__module__": name, "__doc__": "Answers."},
    )

    async def answer(query: Any) -> Alive:
        return Alive()

    answer.__annotations__["query"] = query
    answer.__name__, answer.__module__ = f"ping_{name}", name
    module = ModuleType(name)
    vars(module).update({query.__name__: query, answer.__name__: handles(query)(answer)})
    table = Routes(f"/{name}", tag=name)
    for number in range(count):
        table.get(f"/{number}", query, name=f"{name}_{number}")
    return Feature(name, modules=(module,), routes=(table,), requires=("system",))


async def _sized(
    ground: Ground, axis: str, sizes: tuple[int, ...], variables: Callable[[int], dict[str, str]]
) -> None:
    base = await ground.base("PostgreSQL")
    person = await base.register("one")
    await base.fill("items", filling.item(person.id), 100)
    first, _ = await base.items(person.id)
    for size in sizes:
        server = ground.serve(base, "benchmarks.growing:sized", **variables(size))
        last = f"bench/{size - 1}" if axis == "routes" else f"bench{size - 1}/0"
        requests = _usual(person, first) | {"the last route": Request(f"{API}/{last}")}
        for name, request in requests.items():
            ground.add(axis, name, size, ground.asked(server, request))


def _usual(person: Person, item: UUID) -> dict[str, Request]:
    return {
        "me": _get(f"{API}/users/me", person),
        "by id": _get(f"{API}/items/{item}", person),
        "create": _create(person),
    }


def _get(path: str, person: Person) -> Request:
    return Request(path, headers={"Authorization": f"Bearer {person.token}"})


def _create(person: Person) -> Request:
    body = json.dumps({"title": filling.MADE})
    return Request(f"{API}/items", "POST", body, {"Authorization": f"Bearer {person.token}"})


async def _role(base: Base, number: int) -> UUID:
    send = base.backstay.system
    role = await send(CreateRole(name=f"role {number}", level=1 + number % LEVELS))
    for each in (await send(ListPermissions(resource=Text(eq="items")))).items:
        grant = GrantPermission(role_id=role.id, permission_id=each.id, scope=Scope.OWN)
        await send(grant)
    found: UUID = role.id
    return found


async def _change(cache: MemoryCache) -> None:
    await cache.delete_tags("tag 5")
    await cache.set("key 5", b"x" * 500, ttl=9e9, tags=("tag 5", "all"))


async def _claim(base: Base) -> None:
    """Claim as a worker with five free slots does, and give the jobs back."""
    found = base.backstay.worker_context.outbox.store
    for run in await found.claim(None, 5, 60.0, 1):
        await found.release(run)
