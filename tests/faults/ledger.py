"""What clients know of their writes, and what a database must hold because of them.

Every title names the item and the write, and every write has a request id of its own. So whatever
is found, in an answer or in the database, can be traced to the one request that wrote it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sqlalchemy import select

from backstay.db.activity import Activity
from backstay.db.database import Database
from backstay.db.options import EngineOptions
from backstay.features.items.model import Item

WRITES = {"create": "CreateItem", "update": "UpdateItem", "delete": "DeleteItem"}
_PREFIX = "write-"


@dataclass
class Write:
    """A write of one item. Without ``ended`` it is not known to be done: it may yet be."""

    number: int
    kind: str
    title: str
    ended: int | None = None

    @property
    def request_id(self) -> str:
        """The id of its request, which the audit trail keeps."""
        return f"{_PREFIX}{self.number}"


@dataclass
class Entry:
    """An item with its writes. After one that is not known to be done there is no further one."""

    number: int
    user_id: str
    writes: list[Write] = field(default_factory=list)
    id: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can be written: it is there, and what it holds is known."""
        last = self.writes[-1]
        return last.ended is not None and last.kind != "delete"

    def possible(self, since: int) -> tuple[set[str], bool]:
        """The titles that a read begun at a moment may find, and whether it may find nothing."""
        begin = 0
        for place, write in enumerate(self.writes):
            if write.ended is not None and write.ended < since:
                begin = place
        found = self.writes[begin:]
        titles = {write.title for write in found if write.kind != "delete"}
        return titles, any(write.kind == "delete" for write in found)


class Ledger:
    """The items of all users. ``moment`` orders writes and reads: it counts what has happened."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.of: defaultdict[str, list[Entry]] = defaultdict(list)
        self._moments, self._numbers = count(1), count(1)

    def moment(self) -> int:
        """Now."""
        return next(self._moments)

    def entry(self, user_id: str) -> Entry:
        """A new item."""
        entry = Entry(len(self.entries), user_id)
        self.entries.append(entry)
        return entry

    def write(self, entry: Entry, kind: str) -> Write:
        """Begin a write; a deletion has the title that the item has before it."""
        number = next(self._numbers)
        title = f"item {entry.number} of {entry.user_id} write {number}"
        entry.writes.append(Write(number, kind, title))
        return entry.writes[-1]

    def done(self, entry: Entry, write: Write, item_id: str) -> None:
        """A client was told that its write is done."""
        write.ended = self.moment()
        if entry.id is None:
            entry.id = item_id
            self.of[entry.user_id].append(entry)

    def find(self, title: str) -> Entry | None:
        """The item that a title names, or None."""
        words = title.split()
        is_known = words[:1] == ["item"] and words[1:2] and words[1].isdigit()
        number = int(words[1]) if is_known else len(self.entries)
        return self.entries[number] if number < len(self.entries) else None

    async def faults(self, options: EngineOptions) -> list[str]:
        """What the database lacks, and what it holds that it should not."""
        database = Database(options)
        items = await database.write(
            select(Item.id, Item.title, Item.owner_id, Item.version, Item.deleted_at)
        )
        trail = await database.write(
            select(Activity.request_id, Activity.message, Activity.targets, Activity.user_id).where(
                Activity.outcome == "ok", Activity.message.in_(WRITES.values())
            )
        )
        await database.dispose()
        return list(self._compared(items, trail))

    def _compared(self, items: Sequence[Any], trail: Sequence[Any]) -> Iterator[str]:
        rows: dict[int, Any] = {}
        for item in items:
            entry = self.find(item.title)
            if entry is None or entry.number in rows:
                yield f"an item that nobody wrote, or wrote twice: {item.title!r}"
            else:
                rows[entry.number] = item
        told = {row.request_id: row for row in trail}
        if len(told) != len(trail):
            yield f"{len(trail)} rows of the trail are of {len(told)} requests"
        known = {write.request_id for entry in self.entries for write in entry.writes}
        yield from (f"a row of the trail without a request: {each}" for each in told.keys() - known)
        for entry in self.entries:
            yield from _faults_of(entry, rows.get(entry.number), told)


def _faults_of(entry: Entry, item: Any, told: Mapping[str, Any]) -> Iterator[str]:
    landed = [write for write in entry.writes if write.request_id in told]
    name = f"item {entry.number}"
    for write in entry.writes:
        if write.ended is not None and write not in landed:
            yield f"{name}: {write.kind} {write.number} was acknowledged and is not in the trail"
    if not landed:
        if item is not None:
            yield f"{name}: is there without a row of the trail"
        return
    if item is None:
        yield f"{name}: is not there, and the trail has {[write.kind for write in landed]}"
        return
    titles = [write.title for write in landed if write.kind != "delete"]
    expected = {
        "title": titles[-1] if titles else None,
        "version": len(landed),
        "owner": entry.user_id,
        "deleted": landed[-1].kind == "delete",
        "id": entry.id or str(item.id),
        "trail": {(WRITES[write.kind], str(item.id), entry.user_id) for write in landed},
    }
    rows = [told[write.request_id] for write in landed]
    found = {
        "title": item.title,
        "version": item.version,
        "owner": str(item.owner_id),
        "deleted": item.deleted_at is not None,
        "id": str(item.id),
        "trail": {(row.message, row.targets.get("id"), str(row.user_id)) for row in rows},
    }
    for what, value in expected.items():
        if found[what] != value:
            yield f"{name}: {what} is {found[what]!r} instead of {value!r}"
