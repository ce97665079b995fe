"""Orders and their lines: what the tests of targets find, change and list."""

from typing import Annotated
from uuid import UUID

from sqlalchemy import ForeignKey, String, join
from sqlalchemy.orm import Mapped, mapped_column

from backstay.core.bus import handles
from backstay.core.context import Sender
from backstay.core.listing import ListQuery
from backstay.core.messages import Command, FromPath, FromQuery, Query, View
from backstay.core.permissions import SYSTEM_ONLY, Scope
from backstay.core.targets import AnyTarget, By, Target
from backstay.db.base import Base, Entity, SoftDelete
from backstay.db.listing import Listing
from backstay.db.resource import Resource
from backstay.db.session import Reader, Transaction
from tests.db.tables import OWNED


class Order(SoftDelete, Entity):
    __tablename__ = "test_orders"
    __table_args__ = OWNED
    __owner__ = "owner_id"

    number: Mapped[int] = mapped_column(unique=True)
    note: Mapped[str] = mapped_column(String(50), default="")
    owner_id: Mapped[UUID]


class Line(Entity):
    __tablename__ = "test_lines"
    __table_args__ = OWNED
    __owner__ = "order_id.owner_id"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("test_orders.id"))
    amount: Mapped[int] = mapped_column(default=1)


class Berth(Base):
    __tablename__ = "test_berths"
    __table_args__ = OWNED

    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))


TABLES = [Base.metadata.tables[name] for name in ("test_orders", "test_lines", "test_berths")]


class OrderSummary(View):
    id: UUID
    number: int
    note: str
    version: int


class LineDetail(View):
    id: UUID
    order_id: UUID
    amount: int
    number: int


class BerthDetail(View):
    number: int
    name: str


class OrderDetail(OrderSummary):
    lines: int


ORDERS = Resource(
    "orders",
    Order,
    OrderSummary,
    default_scope=Scope.OWN,
    tags=("orders", "orders:of:{owner_id}"),
    shown_by=lambda order: GetOrder(id=order.id),
)
NUMBER = {"number": Order.number}
LINES_WITH_ORDERS = join(Line, Order, Order.id == Line.order_id)
LINES = Resource(
    "lines",
    Line,
    LineDetail,
    default_scope=Scope.OWN,
    columns=NUMBER,
    from_=LINES_WITH_ORDERS,
)


BERTHS = Resource("berths", Berth, BerthDetail, key="number")


class GetOrder(Query[OrderDetail]):
    permission = ORDERS.read
    id: FromPath[UUID]


@handles(GetOrder)
async def get_order(query: GetOrder, order: Target[OrderSummary], reader: Reader) -> OrderDetail:
    rows = await reader.rows(Base.metadata.tables["test_lines"].select())
    return OrderDetail(**order.model_dump(), lines=sum(row.order_id == order.id for row in rows))


class NoteOrder(Command[UUID]):
    permission = ORDERS.update
    id: FromPath[UUID]
    note: str
    owner_id: UUID | None = None


@handles(NoteOrder)
async def note_order(command: NoteOrder, order: Target[Order]) -> UUID:
    order.note += command.note
    order.owner_id = command.owner_id or order.owner_id
    return order.id


class NoteNumber(Command[None]):
    permission = SYSTEM_ONLY
    order_id: UUID
    note: str


@handles(NoteNumber)
async def note_number(command: NoteNumber, order: Target[Order], send: Sender) -> None:
    await send(NoteOrder(id=command.order_id, note=command.note))


class DeleteOrder(Command[None]):
    permission = ORDERS.delete
    id: FromPath[UUID]
    hard: FromQuery[bool] = False


@handles(DeleteOrder)
async def delete_order(
    command: DeleteOrder, order: Annotated[Order, By(deleted="hard")], session: Transaction
) -> None:
    await session.delete(order)


class RestoreOrder(Command[None]):
    permission = ORDERS.delete
    id: FromPath[UUID]


@handles(RestoreOrder)
async def restore_order(command: RestoreOrder, order: AnyTarget[Order]) -> None:
    order.deleted_at = None


class ChangeLine(Command[int]):
    permission = LINES.update
    order_id: FromPath[UUID]
    line_id: FromPath[UUID]
    more: int = 1


@handles(ChangeLine)
async def change_line(
    command: ChangeLine,
    order: Annotated[Order, By("order_id")],
    line: Annotated[Line, By("line_id", "order_id")],
) -> int:
    line.amount += command.more
    return order.number


class GetLine(Query[LineDetail]):
    permission = LINES.read
    order_id: FromPath[UUID]
    line_id: FromPath[UUID]


@handles(GetLine)
async def get_line(
    query: GetLine, line: Annotated[LineDetail, By("line_id", "order_id")]
) -> LineDetail:
    return line


class ListLines(ListQuery[LineDetail]):
    permission = LINES.list


LINES_LIST = Listing(ListLines, Line, LineDetail, columns=NUMBER, from_=LINES_WITH_ORDERS)


class NameBerth(Command[str]):
    permission = BERTHS.update
    number: FromPath[int]
    loud: bool = False


@handles(NameBerth)
async def name_berth(command: NameBerth, berth: Target[Berth]) -> str:
    return berth.name.upper() if command.loud else berth.name


class GetBerth(Query[BerthDetail]):
    permission = BERTHS.read
    number: FromPath[int]


@handles(GetBerth)
async def get_berth(query: GetBerth, berth: Target[BerthDetail]) -> BerthDetail:
    return berth
