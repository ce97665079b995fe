"""The routes that are no messages: what the payment provider calls, and the day of the caller."""

from typing import Annotated
from uuid import UUID

from backstay import CurrentPrincipal, Equals, Send, SendAsAnyone, View
from fastapi import APIRouter, Header, Request

from shop.features.orders.model import Status
from shop.features.orders.queries import ListOrders
from shop.features.orders.schemas import OrderSummary
from shop.features.payments.messages import ReceivePayment

router = APIRouter(prefix="/shop", tags=["shop"])


class Today(View):
    """What the caller has to do."""

    user_id: UUID
    unpaid: tuple[OrderSummary, ...]


@router.get("/today")
async def today(principal: CurrentPrincipal, send: Send) -> Today:
    """The caller, and the latest orders that wait for their payment."""
    unpaid = await send(ListOrders(total=False, status=Equals[Status](eq=Status.PLACED)))
    return Today(user_id=principal.id, unpaid=unpaid.items)


@router.post("/payments", status_code=204)
async def payments(
    request: Request, signature: Annotated[str, Header(max_length=200)], send: SendAsAnyone
) -> None:
    """What the payment provider announces."""
    await send(ReceivePayment(body=await request.body(), signature=signature))
