"""What is measured, and how the same thing is asked of the bare application."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.load import Request
from benchmarks.ours import ROUTES
from benchmarks.stage import PASSWORD, Stage

API = "/api/v1"


@dataclass(frozen=True)
class Case:
    """One row of the report. ``bare`` is None where only our own figures are compared.

    ``server`` names the one of ours that is asked: without a cache unless said otherwise.
    """

    name: str
    ours: Callable[[Stage], Request]
    bare: Callable[[Stage], Request] | None
    connections: int = 16
    server: str = "uncached"


def _get(path: str, token: str, **headers: str) -> Request:
    return Request(path, headers={"Authorization": f"Bearer {token}", **headers})


def _item(stage: Stage) -> Request:
    return _get(f"{API}/items/{stage.item}", stage.token)


def _bare_item(stage: Stage) -> Request:
    return _get(f"/item/{stage.item}", stage.token)


def _unchanged(stage: Stage) -> Request:
    tag = stage.tag.replace('"', '\\"')
    return _get(f"{API}/items/{stage.item}", stage.token, **{"If-None-Match": tag})


def _create(path: str, token: str) -> Request:
    body = json.dumps({"title": "made by the benchmark"})
    return Request(path, "POST", body, {"Authorization": f"Bearer {token}"})


def _login(path: str, stage: Stage) -> Request:
    return Request(path, "POST", json.dumps({"email": stage.email, "password": PASSWORD}))


CASES = (
    Case(
        "me",
        lambda s: _get(f"{API}/users/me", s.token),
        lambda s: _get("/me", s.token),
    ),
    Case("item", _item, _bare_item),
    Case("cached", _item, _bare_item, server="cached"),
    Case("304", _unchanged, _bare_item, server="cached"),
    Case("cached-redis", _item, _bare_item, server="far"),
    Case(
        "page",
        lambda s: _get(f"{API}/items", s.token),
        lambda s: _get("/page", s.token),
    ),
    Case(
        "cached-page",
        lambda s: _get(f"{API}/items", s.token),
        lambda s: _get("/page", s.token),
        server="cached",
    ),
    Case(
        "keyset",
        lambda s: _get(f"{API}/items?limit=20", s.deep_token),
        lambda s: _get("/keyset", s.deep_token),
    ),
    Case(
        "keyset-deep",
        lambda s: _get(f"{API}/items?limit=20&cursor={s.deep_cursor}", s.deep_token),
        lambda s: _get(f"/keyset?{s.deep_id}", s.deep_token),
    ),
    Case(
        "create",
        lambda s: _create(f"{API}/items", s.token),
        lambda s: _create("/create", s.token),
    ),
    Case(
        "login",
        lambda s: _login(f"{API}/auth/login", s),
        lambda s: _login("/login", s),
    ),
    Case("one-role", lambda s: _get(f"{API}/items/{s.item}", s.token), None),
    Case("fifty-roles", lambda s: _get(f"{API}/items/{s.roles_item}", s.roles_token), None),
    Case("limited", lambda s: _get(f"{API}/users/me", s.token), None),
    Case("unlimited", lambda s: _get(f"{API}/users/me", s.token), None, server="unlimited"),
    Case("first-route", lambda s: Request(f"{API}/bench/0"), None),
    Case("last-route", lambda s: Request(f"{API}/bench/{ROUTES - 1}"), None),
)
STORM = "storm"
"""The name of the measurement of ``me`` while eight clients log in."""
JOBS = "jobs"
"""The name of the measurement of empty jobs, stored and run."""
START = "start"
"""The name of the measurement of what a start costs."""
SQLITE = "sqlite"
"""The name of the measurement of each SQLite and its journal."""
IDLE = "idle"
"""The name of the measurement of what a server keeps and costs while nobody asks."""
COPY = "copy"
"""The name of the measurement of copying a database."""
STEPS = "steps"
"""The name of the measurement of what each step of a request costs."""
TRACES = "traces"
"""The name of the measurement of what traces cost a request."""
CROWD = "crowd"
"""The name of the measurement of many clients, and of more load than can be served."""
ALONE = {COPY, CROWD, IDLE, JOBS, SQLITE, START, STEPS, TRACES}
"""What is measured by itself, without requests."""
WORKERS = "workers"
"""The name of the measurement of ``me`` from one worker, then from two."""
