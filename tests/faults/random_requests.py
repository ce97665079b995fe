"""Clients that send random requests, leave some of them early, and check every answer."""

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI

from backstay.testing.waiting import LIMIT
from tests.faults.ledger import Entry, Ledger, Write
from tests.features.steps import API, ME

LEFT = 0.2
"""How many requests are cancelled before they are answered."""
MOST_TURNS = 60
"""Of the event loop, after which a request may be cancelled; others are cancelled by the clock."""
CLEAN = {(503, "db_unavailable"), (503, "db_timeout")}
"""The errors that a fault of the database may cause."""
MIX = {"read": 30, "page": 12, "keyset": 8, "search": 6, "me": 14, "foreign": 4}
MIX |= {"create": 11, "update": 11, "delete": 4}


@dataclass(frozen=True)
class User:
    """A signed-in user."""

    id: str
    email: str
    token: str


@dataclass
class Answer:
    """What an application has sent."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    content: bytes = b""
    is_whole: bool = False

    @property
    def body(self) -> Any:
        """Its JSON; None if there is none."""
        return json.loads(self.content) if self.content else None


@dataclass
class Report:
    """What all clients together have seen. ``faults`` has the first of them only."""

    answered: "Counter[str]" = field(default_factory=Counter)
    left: int = 0
    struck: "Counter[str]" = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    usual: float = 0.01
    """Seconds that a request takes, roughly."""

    @property
    def failed(self) -> int:
        """How many requests were answered with an error of the server."""
        return sum(number for status, number in self.answered.items() if status >= "5")

    def fault(self, text: str) -> None:
        """Note something that must not happen."""
        if len(self.faults) < 100:
            self.faults.append(text[:2000])


async def ask(
    app: FastAPI, user: User, method: str, target: str, number: str, body: Any = None
) -> Answer:
    """Send one request straight to an application."""
    path, _, query = target.partition("?")
    headers = [
        (b"host", b"testserver"),
        (b"authorization", f"Bearer {user.token}".encode()),
        (b"content-type", b"application/json"),
        (b"x-request-id", number.encode()),
    ]
    scope = {
        "type": "http", "http_version": "1.1", "scheme": "http", "server": ("testserver", 80),
        "client": ("192.0.2.1", 4000), "method": method, "path": path, "raw_path": path.encode(),
        "query_string": query.encode(), "root_path": "", "headers": headers,
    }  # fmt: skip
    content = b"" if body is None else json.dumps(body).encode()
    messages = [{"type": "http.request", "body": content, "more_body": False}]
    answer = Answer()

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Future()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], dict(message["headers"])
        else:
            answer.content += message.get("body", b"")
            answer.is_whole = not message.get("more_body", False)

    await app(scope, receive, send)
    return answer


class Client:
    """A client of one user. It alone writes the items that it has created."""

    def __init__(
        self, app: FastAPI, user: User, others: list[User], ledger: Ledger, report: Report
    ) -> None:
        self.leaves = True
        """Whether it cancels some of its requests."""
        self._app, self._user, self._ledger, self._report = app, user, ledger, report
        self._others = [other for other in others if other is not user]
        self._own: list[Entry] = []

    async def act(self, chance: random.Random) -> None:
        """Send one random request and check its answer."""
        (kind,) = chance.choices(list(MIX), list(MIX.values()))
        await getattr(self, f"_{kind}")(chance)

    async def _send(
        self, chance: random.Random, method: str, target: str, write: Write | None = None
    ) -> Answer | None:
        """The answer, or None if the client left or an error told that the database failed."""
        number = write.request_id if write else f"read-{self._ledger.moment()}"
        body = {"title": write.title} if write and write.kind != "delete" else None
        begun = monotonic()
        task = asyncio.create_task(ask(self._app, self._user, method, target, number, body))
        if self.leaves and chance.random() < LEFT:
            await self._leave(task, chance)
        await asyncio.wait({task}, timeout=LIMIT)
        if not task.done():
            self._report.fault(f"{method} {target} does not end")
            task.cancel()
            return None
        if task.cancelled():
            self._report.left += 1
            return None
        if error := task.exception():
            self._report.fault(f"{method} {target} raised {error!r}")
            return None
        taken = min(monotonic() - begun, 3 * self._report.usual)  # some are held up
        self._report.usual += (taken - self._report.usual) / 50
        return self._clean(f"{method} {target}", number, task.result())

    async def _leave(self, task: "asyncio.Task[Answer]", chance: random.Random) -> None:
        """Cancel a request at a random moment: once, or until it ends as AnyIO does."""
        if chance.random() < 0.5:
            for _ in range(chance.randrange(MOST_TURNS)):
                await asyncio.sleep(0)
        else:
            await asyncio.sleep(chance.random() * 1.5 * self._report.usual)
        task.cancel()
        while chance.random() < 0.5 and not task.done():
            await asyncio.sleep(0)
            task.cancel()

    def _clean(self, what: str, number: str, answer: Answer) -> Answer | None:
        """Return it unless it is an error, which must be one of `CLEAN`."""
        if not answer.is_whole or answer.headers.get(b"x-request-id") != number.encode():
            self._report.fault(f"{what}: not the whole answer to {number}: {answer}")
            return None
        if answer.status < 500:
            self._report.answered[str(answer.status)] += 1
            return answer
        body = answer.body
        self._report.answered[f"{answer.status} {body['code']}"] += 1
        if (answer.status, body["code"]) not in CLEAN or body["request_id"] != number:
            self._report.fault(f"{what}: {answer.status} {body}")
        return None

    def _require(self, what: str, *, holds: bool, answer: Answer) -> bool:
        if not holds:
            self._report.fault(f"{what}: {answer.status} {answer.content.decode()}")
        return holds

    def _shows(self, shown: dict[str, Any], since: int) -> bool:
        """Whether an item of an answer is this user's, and holds what it may hold."""
        entry = self._ledger.find(shown["title"])
        if entry is None or entry.user_id != self._user.id or shown["owner_id"] != self._user.id:
            return False
        return shown["title"] in entry.possible(since)[0] and entry.id in {None, shown["id"]}

    async def _me(self, chance: random.Random) -> None:
        if answer := await self._send(chance, "GET", ME):
            shown = (answer.body or {}).get("id"), (answer.body or {}).get("email")
            self._require("me", holds=shown == (self._user.id, self._user.email), answer=answer)

    async def _read(self, chance: random.Random) -> None:
        entries = self._ledger.of[self._user.id]
        if not entries:
            return await self._me(chance)
        entry, since = chance.choice(entries), self._ledger.moment()
        answer = await self._send(chance, "GET", f"{API}/items/{entry.id}")
        if answer is None:
            return None
        titles, may_be_gone = entry.possible(since)
        holds = may_be_gone if answer.status == 404 else False
        if answer.status == 200:
            body = answer.body
            holds = body["id"] == entry.id and body["title"] in titles and self._shows(body, since)
        self._require(f"read of item {entry.number}", holds=holds, answer=answer)
        return None

    async def _foreign(self, chance: random.Random) -> None:
        entries = self._ledger.of[chance.choice(self._others).id]
        if entries:
            answer = await self._send(chance, "GET", f"{API}/items/{chance.choice(entries).id}")
            if answer is not None:
                self._require("item of another", holds=answer.status == 404, answer=answer)

    async def _page(self, chance: random.Random) -> None:
        query = f"page={chance.randrange(1, 4)}&per_page={chance.randrange(1, 8)}"
        await self._list(chance, query)

    async def _keyset(self, chance: random.Random) -> None:
        await self._list(chance, f"limit={chance.randrange(1, 8)}&sort=title")

    async def _list(self, chance: random.Random, query: str) -> None:
        since = self._ledger.moment()
        answer = await self._send(chance, "GET", f"{API}/items?{query}")
        if answer is not None:
            holds = answer.status == 200 and all(
                self._shows(shown, since) for shown in answer.body["items"]
            )
            self._require(f"list {query}", holds=holds, answer=answer)

    async def _search(self, chance: random.Random) -> None:
        """Look for the title of an item that nobody writes meanwhile: only that one is found."""
        entries = [entry for entry in self._own if entry.is_open]
        if not entries:
            return await self._me(chance)
        entry = chance.choice(entries)
        title = entry.writes[-1].title
        answer = await self._send(chance, "GET", f"{API}/items?title={quote(title)}")
        if answer is not None:
            found = [shown["id"] for shown in answer.body["items"]] if answer.body else []
            self._require(f"search {title}", holds=found == [entry.id], answer=answer)
        return None

    async def _create(self, chance: random.Random) -> None:
        entry = self._ledger.entry(self._user.id)
        write = self._ledger.write(entry, "create")
        answer = await self._send(chance, "POST", f"{API}/items", write)
        if answer is not None and self._wrote(entry, write, answer, 201):
            self._own.append(entry)

    async def _update(self, chance: random.Random) -> None:
        if not self._own:
            return await self._create(chance)
        entry = self._own.pop(chance.randrange(len(self._own)))
        write = self._ledger.write(entry, "update")
        answer = await self._send(chance, "PATCH", f"{API}/items/{entry.id}", write)
        if answer is not None and self._wrote(entry, write, answer, 200):
            self._own.append(entry)
        return None

    def _wrote(self, entry: Entry, write: Write, answer: Answer, status: int) -> bool:
        body = answer.body or {}
        ids = (body.get("id"), body.get("owner_id"), body.get("title"))
        expected = (entry.id or body.get("id"), self._user.id, write.title)
        holds = answer.status == status and ids == expected
        if holds:
            self._ledger.done(entry, write, body["id"])
        return self._require(f"{write.kind} of item {entry.number}", holds=holds, answer=answer)

    async def _delete(self, chance: random.Random) -> None:
        if not self._own:
            return await self._create(chance)
        entry = self._own.pop(chance.randrange(len(self._own)))
        write = self._ledger.write(entry, "delete")
        answer = await self._send(chance, "DELETE", f"{API}/items/{entry.id}", write)
        if answer is not None:
            holds = self._require("delete", holds=answer.status == 204, answer=answer)
            if holds:
                self._ledger.done(entry, write, entry.id or "")
        return None
