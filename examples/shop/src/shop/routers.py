"""The routes that are no messages: what the payment provider calls, and the day of the caller."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Request

from backstay import CurrentPrincipal, Range, Send, SendAsAnyone, View
from shop.features.orders.queries import ListOrders
from shop.features.payments.messages import ReceivePayment

router = APIRouter(prefix="/shop", tags=["shop"])


class Today(View):
    """What the caller has to do."""

    user_id: UUID
    unpaid: int | None


@router.get("/today")
async def today(principal: CurrentPrincipal, send: Send) -> Today:
    """The caller, and how many orders wait for their payment."""
    unpaid = await send(ListOrders(per_page=1, paid_at=Range(isnull=True)))
    return Today(user_id=principal.id, unpaid=unpaid.total)


@router.post("/payments", status_code=204)
async def payments(
    request: Request, signature: Annotated[str, Header(max_length=200)], send: SendAsAnyone
) -> None:
    """What the payment provider announces."""
    await send(ReceivePayment(body=await request.body(), signature=signature))
