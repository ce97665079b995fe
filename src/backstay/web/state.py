"""Holds what the edge needs from the composition root, within reach of every request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from starlette.requests import Request
from starlette.types import Scope

from backstay.core.bus import Bus
from backstay.core.context import Origin, Sender
from backstay.core.errors import AppError
from backstay.core.idempotency import IdempotencyKey
from backstay.core.principal import STRANGER, Principal
from backstay.core.representation import NO_PRECONDITIONS, Preconditions
from backstay.limits.classes import GENERAL
from backstay.settings import Settings
from backstay.web.address import ClientAddress
from backstay.web.fields import field_of
from backstay.web.limits import Limits

DOCUMENTATION = ("/docs", "/redoc", "/openapi.json", "/docs/assets/")


class MetricsAccess(Enum):
    """Who may read the metrics."""

    OFF = "nobody"
    GUARDED = "whoever holds it"
    OPEN = "everybody"


@dataclass(frozen=True, slots=True)
class EdgeState:
    """What requests need of the application; set once at boot, as ``app.state.edge``."""

    bus: Bus
    authenticate: Callable[[str | None], Awaitable[Principal]]
    limits: Limits
    client_address: ClientAddress
    secure_cookies: bool
    public_origin: str
    cors_origins: frozenset[str]
    metrics: MetricsAccess
    metrics_token: str | None = None
    cache_is_remote: bool = False
    client_max_age: int = 0

    async def count(self, scope: Scope, template: str | None) -> None:
        """Count a request that needs no token.

        If it has a valid one, it counts for that user, under the tier's rule for ``template``,
        which is the path of its route. Otherwise it counts for the address.

        Raises:
            RateLimited: too many.
        """
        authorization = field_of(scope, b"authorization")
        try:
            principal = await self.authenticate(authorization) if authorization else None
        except AppError:
            principal = None
        if principal is None:
            await self.limits.by_address(scope, GENERAL)
        else:
            await self.limits.by_user(scope, principal, template)


def edge_of(request: Request) -> EdgeState:
    """The edge state of the application that received the request."""
    state: EdgeState = request.scope["app"].state.edge
    return state


def sender_of(
    request: Request,
    preconditions: Preconditions = NO_PRECONDITIONS,
    idempotency: IdempotencyKey | None = None,
    device_id: str = "",
    *,
    device_is_new: bool = False,
) -> Sender:
    """A sender that acts as the request's principal."""
    scope, edge = request.scope, edge_of(request)
    origin = Origin(
        scope.get("backstay.request_id", ""),
        edge.client_address(scope),
        (field_of(scope, b"user-agent") or "")[:300],
        preconditions,
        idempotency,
        scope.get("backstay.trace", b"").decode(),
        device_id=device_id,
        device_is_new=device_is_new,
    )
    return Sender(edge.bus.send, scope.get("backstay.principal", STRANGER), origin)


async def count_unmatched(scope: Scope, path: str) -> None:
    """Count a request that matches no feature's route, so that it is limited as well.

    The documentation is not counted: it has its own limit.

    Raises:
        RateLimited: too many.
    """
    if path in DOCUMENTATION or path.startswith(DOCUMENTATION[-1]):
        return
    edge: EdgeState = scope["app"].state.edge
    await edge.count(scope, None)


def metrics_access(settings: Settings) -> MetricsAccess:
    """Who may read the metrics.

    Nobody if they are switched off; with a token, only its holders; without one, everybody in
    ``local`` and nobody elsewhere.
    """
    if not settings.app.metrics:
        return MetricsAccess.OFF
    if settings.app.metrics_token is not None:
        return MetricsAccess.GUARDED
    return MetricsAccess.OPEN if settings.is_local else MetricsAccess.OFF
