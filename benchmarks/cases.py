"""What is measured, and how the same thing is asked of the bare application."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from backstay.admin.cookies import Cookies
from backstay.settings import decode_key
from benchmarks.load import Request
from benchmarks.ours import ROUTES
from benchmarks.rows import MADE
from benchmarks.stage import PASSWORD, Stage

API = "/api/v1"
POSTGRESQL, SQLITE_FILE = "postgresql", "sqlite"
DATABASES = (POSTGRESQL, SQLITE_FILE)
REFRESH = "refresh"
Requests = tuple[Request, ...]
"""What is sent, in turn."""


@dataclass(frozen=True)
class Case:
    """One row of the report. ``bare`` is None where only our own figures are compared.

    ``server`` names the one of ours that is asked: without a cache unless said otherwise. After a
    case that ``writes`` the rows are put back. What is measured ``once`` says what does not depend
    on the database, so it is measured on PostgreSQL alone.
    """

    name: str
    ours: Callable[[Stage], Requests]
    bare: Callable[[Stage], Requests] | None
    connections: int = 16
    server: str = "uncached"
    writes: bool = False
    once: bool = False


def _get(path: str, token: str, **headers: str) -> Requests:
    return (Request(path, headers=_bearer(token) | headers),)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _send(method: str, path: str, token: str, body: Any = None) -> Request:
    return Request(path, method, "" if body is None else json.dumps(body), _bearer(token))


def _item(stage: Stage) -> Requests:
    return _get(f"{API}/items/{stage.item}", stage.token)


def _bare_item(stage: Stage) -> Requests:
    return _get(f"/item/{stage.item}", stage.token)


def _unchanged(stage: Stage) -> Requests:
    return _get(f"{API}/items/{stage.item}", stage.token, **{"If-None-Match": stage.tag})


def _page_of_console(stage: Stage) -> Requests:
    """The first page of all items, by a cookie as a sign-in would have set it a moment ago."""
    key = decode_key(stage.environ["SECURITY_REFRESH_TOKEN_SECRET"])
    told = Response()
    Cookies(key, lambda: datetime.now(UTC), secure=False).start(
        told, stage.admin.session_id, stage.admin.user_id
    )
    cookie = told.headers["set-cookie"].partition(";")[0]
    return (Request("/admin/data/items", headers={"Cookie": cookie}),)


def _create(path: str, stage: Stage) -> Requests:
    return (_send("POST", path, stage.busy_token, {"title": MADE}),)


def _update(path: str, stage: Stage) -> Requests:
    """Every item by turns, to a title and to another: the same title again would be no change."""
    return tuple(
        _send("PATCH", f"{path}/{item}", stage.busy_token, {"title": title})
        for title in ("one title", "another title")
        for item in stage.busy_items
    )


def _delete(path: str, restored: str, stage: Stage) -> Requests:
    """Every item is deleted, then every item is restored: half of the requests each."""
    deletes = [_send("DELETE", f"{path}/{i}", stage.busy_token) for i in stage.busy_items]
    restores = [_send("POST", f"{path}/{i}{restored}", stage.busy_token) for i in stage.busy_items]
    return (*deletes, *restores)


def _mixed(item: str, create: str, stage: Stage) -> Requests:
    """Four reads of different items, then a new item."""
    reads = [_send("GET", f"{item}/{i}", stage.busy_token) for i in stage.busy_items]
    made = _create(create, stage)
    fours = (reads[n : n + 4] for n in range(0, len(reads), 4))
    return tuple(each for four in fours for each in (*four, *made))


def _refresh(path: str, stage: Stage) -> Requests:
    """Each session once."""
    return tuple(
        Request(path, "POST", json.dumps({"refresh_token": token}))
        for token in stage.refresh_tokens
    )


def login(path: str, stage: Stage) -> Requests:
    """Sign-ins of clients that keep their tokens themselves, of different people by turns."""
    return tuple(
        Request(
            path,
            "POST",
            json.dumps({"email": email, "password": PASSWORD, "transport": "body"}),
        )
        for email in stage.emails
    )


CASES = (
    Case(
        "me",
        lambda s: _get(f"{API}/users/me", s.token),
        lambda s: _get("/me", s.token),
    ),
    Case("item", _item, _bare_item),
    Case("cached", _item, _bare_item, server="cached"),
    Case("304", _unchanged, _bare_item, server="cached"),
    Case("cached-redis", _item, _bare_item, server="far", once=True),
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
    Case("console", _page_of_console, None),
    Case("console-api", lambda s: _get(f"{API}/items?limit=25", s.admin_token), None),
    Case(
        "create",
        lambda s: _create(f"{API}/items", s),
        lambda s: _create("/create", s),
        writes=True,
    ),
    Case(
        "update",
        lambda s: _update(f"{API}/items", s),
        lambda s: _update("/update", s),
        writes=True,
    ),
    Case(
        "delete",
        lambda s: _delete(f"{API}/items", "/restore", s),
        lambda s: _delete("/delete", "", s),
        writes=True,
    ),
    Case(
        "mixed",
        lambda s: _mixed(f"{API}/items", f"{API}/items", s),
        lambda s: _mixed("/item", "/create", s),
        writes=True,
    ),
    Case(
        "enqueue",
        lambda s: (_send("POST", f"{API}/bench/jobs", s.token),),
        lambda s: (_send("POST", "/enqueue", s.token),),
        writes=True,
    ),
    Case(
        "login",
        lambda s: login(f"{API}/auth/login", s),
        lambda s: login("/login", s),
        connections=4,
        writes=True,
    ),
    Case(
        REFRESH,
        lambda s: _refresh(f"{API}/auth/refresh", s),
        lambda s: _refresh("/refresh", s),
        writes=True,
    ),
    Case("one-role", _item, None, once=True),
    Case(
        "fifty-roles",
        lambda s: _get(f"{API}/items/{s.roles_item}", s.roles_token),
        None,
        once=True,
    ),
    Case("limited", lambda s: _get(f"{API}/users/me", s.token), None, once=True),
    Case(
        "unlimited",
        lambda s: _get(f"{API}/users/me", s.token),
        None,
        server="unlimited",
        once=True,
    ),
    Case("first-route", lambda s: (Request(f"{API}/bench/0"),), None, once=True),
    Case("last-route", lambda s: (Request(f"{API}/bench/{ROUTES - 1}"),), None, once=True),
)
STORM = "storm"
"""The name of the measurement of ``me`` while eight clients log in."""
GENERATED = "generated"
"""The name of the measurement of an entity that the generator has written, beside items."""
WORKERS = "workers"
"""The name of the measurement of one worker and of several."""
BY_REQUESTS = (STORM, GENERATED, WORKERS)
"""What is measured by requests, but is no row of the report by itself."""
JOBS = "jobs"
"""The name of the measurement of empty jobs, stored and run."""
START = "start"
"""The name of the measurement of what a start costs."""
SQLITE = "sqlite"
"""The name of the measurement of each SQLite and its journal."""
PRAGMAS = "pragmas"
"""The name of the measurement of SQLite's settings."""
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
ALONE = {COPY, CROWD, IDLE, JOBS, PRAGMAS, SQLITE, START, STEPS, TRACES}
"""What is measured by itself, without requests."""
