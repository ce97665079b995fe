"""Replay: `python -m tests.backups.replay [1000]`, on SQLite and on PostgreSQL.

Requests are recorded with the ids, bodies and ETags of their answers. After a restore into a fresh
database, and a sign-in anew, each must be answered the same.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import httpx

from backstay.application import PACKAGED
from backstay.core.clock import utc_now
from backstay.testing.databases import Templates
from backstay.testing.people import ADMIN_EMAIL, PASSWORD, client_of
from backstay.testing.postgres_server import PostgresServer, shared_server
from tests.backups.rigs import Place


class Recorded(NamedTuple):
    """A request of a user, and how it was answered."""

    email: str
    path: str
    status: int
    etag: str | None
    body: bytes


@asynccontextmanager
async def _clients(place: Place, emails: list[str]) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """A running application, and a client for each user, signed in."""
    app = PACKAGED.create_app(place.settings, clock=utc_now, worker=False)
    async with app.router.lifespan_context(app):
        clients = {email: client_of(app) for email in emails}
        for email, client in clients.items():
            body = {"email": email, "password": PASSWORD}
            if email != ADMIN_EMAIL:
                await client.post("/api/v1/users", json=body)
            answer = await client.post("/api/v1/auth/login", json=body | {"transport": "body"})
            assert answer.status_code == 200, answer.text
            client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield clients
        for client in clients.values():
            await client.aclose()


EMAILS = [ADMIN_EMAIL, "one@example.org", "two@example.org"]


async def _record(place: Place, count: int) -> list[Recorded]:
    chance = Random(count)
    async with _clients(place, EMAILS) as clients:
        ids: list[str] = []
        for number in range(max(5, count // 10)):
            client = clients[EMAILS[1 + number % 2]]
            item = {"title": f"Item {number} ä€𝄞", "description": "x" * chance.randrange(200)}
            ids.append((await client.post("/api/v1/items", json=item)).json()["id"])
        users = (await clients[ADMIN_EMAIL].get("/api/v1/users")).json()["items"]
        paths = [
            *(f"/api/v1/items/{each}" for each in ids),
            *(f"/api/v1/users/{each['id']}" for each in users),
            *(f"/api/v1/items?page={page}&per_page=7&sort=-created_at" for page in range(1, 20)),
            *(f"/api/v1/items?limit={limit}" for limit in range(1, 20)),
            "/api/v1/items?q=item+1", "/api/v1/users/me", "/api/v1/users", "/api/v1/tiers",
            "/api/v1/rbac/roles", "/api/v1/rbac/permissions?per_page=100",
        ]  # fmt: skip
        asked = [(chance.choice(EMAILS), chance.choice(paths)) for _ in range(count)]
        return [await _ask(clients[email], email, path) for email, path in asked]


async def _ask(client: httpx.AsyncClient, email: str, path: str) -> Recorded:
    answer = await client.get(path)
    body = answer.content
    if answer.status_code >= 400:  # its request_id is of that request alone
        body = str(answer.json()["code"]).encode()
    return Recorded(email, path, answer.status_code, answer.headers.get("ETag"), body)


async def _differing(place: Place, recorded: list[Recorded]) -> list[tuple[Recorded, Recorded]]:
    async with _clients(place, EMAILS) as clients:
        again = [await _ask(clients[each.email], each.email, each.path) for each in recorded]
    return [pair for pair in zip(recorded, again, strict=True) if pair[0] != pair[1]]


def replayed(place: Place, fresh: Place, count: int) -> list[tuple[Recorded, Recorded]]:
    """What is answered differently after a restore into a fresh database."""
    recorded = asyncio.run(_record(place, count))
    assert {200, 403, 404} >= {each.status for each in recorded}
    assert sum(each.etag is not None for each in recorded) > count // 10
    manifest = place.proven()
    fresh.restore(manifest.name, force=False)
    return asyncio.run(_differing(fresh, recorded))


def fresh_of(place: Place, server: PostgresServer | None) -> Place:
    """The same application on a database that is not there yet, or is empty."""
    url = server.create_database() if server else f"sqlite:///{place.folder / 'fresh.db'}"
    return Place(place.folder, url, place.variables)


def main(count: int) -> None:
    """Print how many requests were answered the same, on both databases."""
    for kind in ("sqlite", "postgresql"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            url, _ = Templates(folder, shared_server, PACKAGED).copy(kind, folder)
            server = shared_server() if kind == "postgresql" else None
            variables = {"BACKUP_DIR": str(folder / "backups")}
            if server:
                variables["BACKUP_PG_BIN"] = str(server.programs)
            place = Place(folder, url, variables)
            differing = replayed(place, fresh_of(place, server), count)
            for before, after in differing[:3]:
                print(before, after, sep="\n")
            print(f"{kind}: {count - len(differing)} of {count} requests answered the same")
            assert not differing


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
