"""Shows which row a handler's ``Target`` is: locked, within reach of the grant, and unchanged."""

from inspect import isfunction
from typing import Any
from uuid import UUID

import anyio
import pytest
from sqlalchemy import insert

from backstay.core.bus import Bus, Next, authorize
from backstay.core.clock import new_id, utc_now
from backstay.core.context import Context, Origin, Sender
from backstay.core.errors import NotFound, PreconditionFailed
from backstay.core.messages import Command, Message, Query
from backstay.core.permissions import Scope
from backstay.core.principal import SYSTEM, Grant, Principal
from backstay.core.registry import Provider, Registry
from backstay.core.representation import Preconditions, Representation
from backstay.db.database import Database
from backstay.db.paging import Paginator
from backstay.db.session import WRITING, Reader
from backstay.db.transaction import Transactions
from tests.channels import SilentChannel
from tests.db import orders
from tests.db.books import CURSORS
from tests.db.orders import (
    BERTHS,
    LINES,
    LINES_LIST,
    ORDERS,
    TABLES,
    Berth,
    ChangeLine,
    DeleteOrder,
    GetBerth,
    GetLine,
    GetOrder,
    Line,
    ListLines,
    NameBerth,
    NoteNumber,
    NoteOrder,
    Order,
    RestoreOrder,
)

pytestmark = pytest.mark.anyio

ANN, BEN = new_id(), new_id()
ORDER, HIDDEN, OTHER = (
    Order(id=new_id(), number=number, owner_id=owner, note="", deleted_at=hidden)
    for number, owner, hidden in ((1, ANN, None), (2, ANN, utc_now()), (3, BEN, None))
)
MINE, THEIRS = (Line(id=new_id(), order_id=order.id, amount=1) for order in (ORDER, OTHER))


class Shop:
    """Sends messages of users and of the system, and keeps the tags that were touched."""

    def __init__(self, database: Database) -> None:
        functions: list[Any] = [*filter(isfunction, vars(orders).values()), LINES_LIST.handler]
        registry = Registry(functions, [ORDERS, LINES, BERTHS])
        self.tags: set[str] = set()
        self.bus = Bus(registry)
        providers: dict[Any, Provider] = {
            Reader: database.reader_of,
            Paginator: lambda context: Paginator(
                database.reader_of(context), CURSORS, context.principal, context.grant
            ),
            Sender: lambda context: context.sender.inside(context),
        }
        steps = (
            authorize,
            Transactions(database, SilentChannel(), utc_now).transaction,
            self._outdate,
        )
        self.bus.route(Command, steps, providers | WRITING)
        self.bus.route(Query, (authorize,), providers)
        assert registry.faults == []

    def _outdate(self, message: type[Message[Any]], call_next: Next) -> Next:
        async def run(context: Context) -> Any:
            async def keep() -> None:
                self.tags |= context.unit.tags.take()[0]

            context.unit.after_commit.append(keep)
            return await call_next(context)

        return run

    def of(self, user: UUID, scope: Scope = Scope.OWN, match: str | None = None) -> Sender:
        keys, nouns = ("read", "list", "update", "delete"), ("orders", "lines", "berths")
        grants = {f"{noun}:{key}": Grant(scope) for noun in nouns for key in keys}
        preconditions = Preconditions() if match is None else Preconditions((match,))
        principal = Principal(user_id=user, grants=grants)
        return Sender(self.bus.send, principal, Origin(preconditions=preconditions))

    @property
    def system(self) -> Sender:
        return Sender(self.bus.send, SYSTEM)


@pytest.fixture
async def shop(database: Database) -> Shop:
    async with database.writer.begin() as connection:
        for table in TABLES:
            await connection.run_sync(table.create)
        stamps = {"created_at": utc_now(), "updated_at": utc_now(), "version": 1}
        for row in (ORDER, HIDDEN, OTHER, MINE, THEIRS):
            given = {name: value for name, value in vars(row).items() if name[0] != "_"}
            await connection.execute(insert(type(row)).values(given | stamps))
        await connection.execute(insert(Berth).values(number=7, name="quay"))
    return Shop(database)


async def test_an_own_row_is_found_and_changed(shop: Shop) -> None:
    assert await shop.of(ANN)(NoteOrder(id=ORDER.id, note="a")) == ORDER.id
    assert (await shop.of(ANN)(GetOrder(id=ORDER.id))).note == "a"


@pytest.mark.parametrize("order", [OTHER, HIDDEN, Order(id=new_id())])
async def test_rows_of_others_and_deleted_ones_are_not_found(shop: Shop, order: Order) -> None:
    for message in (NoteOrder(id=order.id, note="a"), GetOrder(id=order.id)):
        with pytest.raises(NotFound):
            await shop.of(ANN)(message)


async def test_a_grant_for_any_row_reaches_those_of_others(shop: Shop) -> None:
    await shop.of(ANN, Scope.ANY)(NoteOrder(id=OTHER.id, note="a"))
    assert (await shop.of(ANN, Scope.ANY)(GetOrder(id=OTHER.id))).note == "a"


async def test_deleted_rows_are_found_where_the_handler_asks(shop: Shop) -> None:
    with pytest.raises(NotFound):
        await shop.of(ANN)(DeleteOrder(id=HIDDEN.id))
    await shop.of(ANN)(RestoreOrder(id=HIDDEN.id))
    assert (await shop.of(ANN)(GetOrder(id=HIDDEN.id))).number == 2
    await shop.of(ANN)(DeleteOrder(id=HIDDEN.id, hard=True))
    with pytest.raises(NotFound):
        await shop.of(ANN)(RestoreOrder(id=HIDDEN.id))


async def test_a_child_is_found_by_the_owner_of_its_parent(shop: Shop) -> None:
    assert await shop.of(ANN)(ChangeLine(order_id=ORDER.id, line_id=MINE.id, more=4)) == 1
    line = await shop.of(ANN)(GetLine(order_id=ORDER.id, line_id=MINE.id))
    assert (line.amount, line.number) == (5, 1)
    for query in (GetLine, ChangeLine):
        with pytest.raises(NotFound):
            await shop.of(ANN)(query(order_id=OTHER.id, line_id=THEIRS.id))


async def test_rows_of_another_resource_are_those_that_one_may_read(shop: Shop) -> None:
    change = ChangeLine(order_id=OTHER.id, line_id=THEIRS.id)
    grants = {LINES.update.key: Grant(Scope.ANY)}
    for found, scope in ((False, None), (False, Scope.OWN), (True, Scope.ANY)):
        held = grants if scope is None else grants | {ORDERS.read.key: Grant(scope)}
        send = Sender(shop.bus.send, Principal(user_id=ANN, grants=held))
        if found:
            await send(change)
        else:
            with pytest.raises(NotFound):
                await send(change)


async def test_a_child_is_not_found_under_another_parent(shop: Shop) -> None:
    for query in (GetLine, ChangeLine):
        with pytest.raises(NotFound):
            await shop.of(ANN, Scope.ANY)(query(order_id=ORDER.id, line_id=THEIRS.id))


async def test_children_are_listed_by_the_owner_of_their_parent(shop: Shop) -> None:
    mine = await shop.of(ANN)(ListLines())
    assert [(line.id, line.number) for line in mine.items] == [(MINE.id, 1)]
    all_lines = await shop.of(ANN, Scope.ANY)(ListLines(limit=5))
    assert {line.id for line in all_lines.items} == {MINE.id, THEIRS.id}


async def test_a_row_may_have_another_key_and_no_owner(shop: Shop) -> None:
    anyone = shop.of(ANN, Scope.ANY)
    assert await anyone(NameBerth(number=7, loud=True)) == "QUAY"
    assert (await anyone(GetBerth(number=7))).name == "quay"
    for number in (8, -7, 2**31, -(2**63), 10**30):
        for message in (NameBerth(number=number), GetBerth(number=number)):
            with pytest.raises(NotFound):
                await anyone(message)
    for message in (NameBerth(number=7), GetBerth(number=7)):
        with pytest.raises(NotFound):
            await shop.of(ANN)(message)


async def test_if_match_is_compared_with_what_clients_see(shop: Shop) -> None:
    tag = Representation.of(await shop.of(ANN)(GetOrder(id=ORDER.id))).etag
    note = NoteOrder(id=ORDER.id, note="a")
    await shop.of(ANN, match=tag)(note)
    with pytest.raises(PreconditionFailed):
        await shop.of(ANN, match=tag)(note)
    await shop.of(ANN, match="*")(note)
    assert (await shop.of(ANN)(GetOrder(id=ORDER.id))).note == "aa"


async def test_if_match_is_about_the_last_row_of_the_path(shop: Shop) -> None:
    sought = GetLine(order_id=ORDER.id, line_id=MINE.id)
    tag = Representation.of(await shop.of(ANN)(sought)).etag
    change = ChangeLine(order_id=ORDER.id, line_id=MINE.id)
    await shop.of(ANN, match=tag)(change)
    with pytest.raises(PreconditionFailed):
        await shop.of(ANN, match=tag)(change)


async def test_if_match_is_not_about_nested_messages(shop: Shop) -> None:
    tag = Representation.of(await shop.system(GetOrder(id=ORDER.id))).etag
    origin = Origin(preconditions=Preconditions((tag or "",)))
    await Sender(shop.bus.send, SYSTEM, origin)(NoteNumber(order_id=ORDER.id, note="a"))
    with pytest.raises(PreconditionFailed):
        await Sender(shop.bus.send, SYSTEM, origin)(NoteNumber(order_id=ORDER.id, note="a"))


async def test_a_row_given_away_outdates_the_lists_of_both(shop: Shop) -> None:
    await shop.of(ANN)(NoteOrder(id=ORDER.id, note="a", owner_id=BEN))
    assert shop.tags == {"orders", f"orders:of:{ANN}", f"orders:of:{BEN}"}


async def test_changes_at_once_wait_for_each_other(shop: Shop) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(shop.of(ANN), NoteOrder(id=ORDER.id, note="x"))
    assert (await shop.of(ANN)(GetOrder(id=ORDER.id))).note == "x" * 20
