"""What the edge needs from the composition root, reachable from every request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from starlette.requests import Request

from backstay.core.bus import Buses, Sender
from backstay.core.context import Origin
from backstay.core.principal import STRANGER, Principal
from backstay.core.representation import Preconditions
from backstay.web.address import ClientAddress
from backstay.web.limits import Limits


class MetricsAccess(Enum):
    """Who may read the metrics."""

    OFF = "nobody"
    TOKEN = "whoever holds the token"
    OPEN = "everybody"


@dataclass(frozen=True, slots=True)
class EdgeState:
    """Set once, at boot, as ``app.state.edge``."""

    buses: Buses
    authenticate: Callable[[str | None], Awaitable[Principal]]
    limits: Limits
    client_address: ClientAddress
    secure_cookies: bool
    public_origin: str
    cors_origins: frozenset[str]
    metrics: MetricsAccess
    metrics_token: str | None = None


def edge_of(request: Request) -> EdgeState:
    """The edge state of the application that received a request."""
    state: EdgeState = request.scope["app"].state.edge
    return state


def sender_of(request: Request, preconditions: Preconditions | None = None) -> Sender:
    """A sender on behalf of whoever made the request."""
    scope, edge = request.scope, edge_of(request)
    origin = Origin(
        scope.get("backstay.request_id", ""),
        edge.client_address(scope),
        request.headers.get("user-agent", "")[:300],
        preconditions or Preconditions(),
    )
    return Sender(edge.buses, scope.get("backstay.principal", STRANGER), origin)
