"""A shop as a project writes it, with the public names only: clients, sales and their lines."""

import sys
from datetime import date, datetime
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, String, bindparam, func, join, literal, select
from sqlalchemy.orm import Mapped, mapped_column

from backstay import (
    Base,
    Command,
    CursorPage,
    Entity,
    Equals,
    Feature,
    FromPath,
    Listing,
    ListQuery,
    Money,
    Page,
    Paginator,
    Principal,
    Query,
    Range,
    Reader,
    Resource,
    Routes,
    Scope,
    SoftDelete,
    Target,
    Text,
    Transaction,
    View,
    columns_of,
    handles,
)

OWNED: dict[str, Any] = {"info": {"owner": "tests"}}


class Status(StrEnum):
    PLACED = "placed"
    PAID = "paid"
    SENT_BACK = "sent back"


class Client(SoftDelete, Entity):
    __tablename__ = "test_clients"
    __table_args__ = OWNED

    name: Mapped[str] = mapped_column(String(100))


class Sale(SoftDelete, Entity):
    __tablename__ = "test_sales"
    __table_args__ = OWNED
    __owner__ = "owner_id"

    number: Mapped[int] = mapped_column(unique=True)
    client_id: Mapped[UUID] = mapped_column(ForeignKey("test_clients.id"))
    owner_id: Mapped[UUID]
    status: Mapped[Status] = mapped_column(default=Status.PLACED)
    total: Mapped[Money]
    placed_at: Mapped[datetime] = mapped_column(index=True)
    due_on: Mapped[date | None]
    paid_at: Mapped[datetime | None]


class SaleLine(Entity):
    __tablename__ = "test_sale_lines"
    __table_args__ = OWNED
    __owner__ = "sale_id.owner_id"

    sale_id: Mapped[UUID] = mapped_column(ForeignKey("test_sales.id"), index=True)
    product: Mapped[str] = mapped_column(String(100))
    price: Mapped[Money]
    quantity: Mapped[int]


TABLES = [Base.metadata.tables[n] for n in ("test_clients", "test_sales", "test_sale_lines")]


class LineView(View):
    sale_id: UUID
    product: str
    price: Money
    quantity: int


class SaleSummary(View):
    id: UUID
    number: int
    client_name: str
    status: Status
    total: Money
    placed_at: datetime
    due_on: date | None
    paid_at: datetime | None


class SaleDetail(SaleSummary):
    lines: tuple[LineView, ...] = ()


WITH_CLIENT = join(Sale, Client, Client.id == Sale.client_id)
NAMED = {"client_name": Client.name}
SALES = Resource(
    "sales",
    Sale,
    SaleSummary,
    default_scope=Scope.OWN,
    columns=NAMED,
    from_=WITH_CLIENT,
)
LINES_OF = (
    select(*columns_of(LineView, SaleLine))
    .where(SaleLine.sale_id.in_(bindparam("sales", expanding=True)))
    .order_by(SaleLine.sale_id, SaleLine.id)
)
TOTALS = select(Sale.status, func.sum(Sale.total)).group_by(Sale.status).order_by(Sale.status)


class LineOrder(View):
    product: str
    price: Money
    quantity: int


class SaleState(View):
    id: UUID
    status: Status


class PlaceSale(Command[SaleState]):
    permission = SALES.create

    number: int
    client_id: UUID
    placed_at: datetime
    due_on: date | None = None
    lines: tuple[LineOrder, ...]


@handles(PlaceSale)
async def place_sale(command: PlaceSale, session: Transaction, principal: Principal) -> SaleState:
    total = sum(line.price * line.quantity for line in command.lines)
    given = command.model_dump(exclude={"lines"})
    sale = await session.insert_one(Sale(**given, total=total, owner_id=principal.id))
    session.add_all(SaleLine(sale_id=sale.id, **line.model_dump()) for line in command.lines)
    await session.flush()
    return SaleState.model_validate(sale)


class SetStatus(Command[SaleState]):
    permission = SALES.update

    id: FromPath[UUID]
    status: Status


@handles(SetStatus)
async def set_status(command: SetStatus, sale: Target[Sale]) -> SaleState:
    sale.status = command.status
    return SaleState.model_validate(sale)


class GetSale(Query[SaleDetail]):
    permission = SALES.read

    id: FromPath[UUID]


@handles(GetSale)
async def get_sale(query: GetSale, sale: Target[SaleSummary], reader: Reader) -> SaleDetail:
    lines = await reader.rows(LINES_OF, {"sales": [sale.id]})
    return SaleDetail(**sale.model_dump(), lines=tuple(map(LineView.model_validate, lines)))


class ListSales(ListQuery[SaleSummary]):
    permission = SALES.list
    sortable = ("placed_at", "amount", "due_on", "paid_at", "client_name", "status", "number")
    searchable = ("client_name",)

    number: Range[int] | None = None
    status: Equals[Status] | None = None
    placed_at: Range[date] | None = None
    due_on: Range[date] | None = None
    paid_at: Range[date] | None = None
    amount: Range[Money] | None = None
    client_name: Text | None = None


SALES_LIST = Listing(
    ListSales,
    Sale,
    SaleSummary,
    from_=WITH_CLIENT,
    columns={**NAMED, "amount": Sale.total},
)


class ListDetails(ListQuery[SaleDetail]):
    permission = SALES.list


DETAILS = Listing(
    ListDetails,
    Sale,
    SaleDetail,
    from_=WITH_CLIENT,
    columns={**NAMED, "lines": literal([], JSON)},
)


@handles(ListDetails)
async def list_details(
    query: ListDetails, paginate: Paginator, reader: Reader
) -> Page[SaleDetail] | CursorPage[SaleDetail]:
    page = await paginate(DETAILS, query)
    rows = await reader.rows(LINES_OF, {"sales": [sale.id for sale in page.items]})
    lines = {
        sale_id: tuple(map(LineView.model_validate, group))
        for sale_id, group in groupby(rows, attrgetter("sale_id"))
    }
    items = (sale.model_copy(update={"lines": lines.get(sale.id, ())}) for sale in page.items)
    return page.model_copy(update={"items": tuple(items)})


class ListSaleLines(ListQuery[LineView]):
    permission = SALES.list


SALE_LINES = Listing(ListSaleLines, SaleLine, LineView)

routes = Routes("/sales", tag="sales")
routes.post("", PlaceSale)
routes.get("", ListSales)
routes.get("/details", ListDetails)
routes.get("/lines", ListSaleLines)
routes.get("/{id}", GetSale)
routes.put("/{id}/status", SetStatus)


def sales() -> Feature:
    """The feature with these messages and routes."""
    return Feature("sales", modules=(sys.modules[__name__],), routes=(routes,))
