"""What the payment provider sends, signed (HMAC-SHA256 over time and body, RFC 2104)."""

import hmac
from uuid import UUID

from backstay import PUBLIC, Clock, Command, Invalid, Sender, Unauthenticated, handles
from pydantic import BaseModel, ValidationError

from shop.features.orders.commands import PayOrder
from shop.settings import ShopSettings

MOST_SECONDS = 300
"""How old an announcement may be, so that an old one that was overheard is of no use."""


class Payment(BaseModel):
    """An order was paid."""

    order_id: UUID


class ReceivePayment(Command[None]):
    """Take the payment of an order; `signature` is `<seconds since 1970>.<hex digits>`."""

    permission = PUBLIC

    body: bytes
    signature: str


@handles(ReceivePayment)
async def receive_payment(
    command: ReceivePayment, shop: ShopSettings, clock: Clock, send: Sender
) -> None:
    time, _, given = command.signature.partition(".")
    key = shop.webhook_secret.get_secret_value().encode()
    right = hmac.digest(key, time.encode() + b"." + command.body, "sha256").hex()
    if not hmac.compare_digest(given.encode(), right.encode()):
        raise Unauthenticated("The signature is wrong.")
    if abs(clock().timestamp() - int(time)) > MOST_SECONDS:
        raise Unauthenticated("The announcement is too old.")
    try:
        payment = Payment.model_validate_json(command.body)
    except ValidationError as error:
        raise Invalid("The announcement names no order.") from error
    await send.as_system()(PayOrder(id=payment.order_id))
