"""Holds what requests need of the application: who asks, the limits, and how to send messages."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from starlette.requests import HTTPConnection
from starlette.types import Scope

from backstay.core.addresses import normal_origin
from backstay.core.bounded_map import BoundedMap
from backstay.core.bus import Bus
from backstay.core.context import Context, Origin, Sender
from backstay.core.errors import AppError, Unauthenticated
from backstay.core.idempotency import IdempotencyKey
from backstay.core.ports import AccessClaims, AccessTokens, Clock
from backstay.core.principal import STRANGER, Principal
from backstay.core.representation import NO_PRECONDITIONS, Preconditions
from backstay.limits.classes import GENERAL, LimitClass
from backstay.principals.cache import PrincipalCache
from backstay.web.limits import Limits
from backstay.web.request import bearer_token, field_of, fields_of

INVALID = 'Bearer error="invalid_token"'


class Authenticator:
    """Verifies access tokens. The claims of a verified one are cached until it expires.

    They are kept by the whole header field, which is sent the same every time.
    """

    def __init__(
        self,
        tokens: AccessTokens,
        principals: PrincipalCache,
        clock: Clock,
        size: int = 10_000,
    ) -> None:
        self._tokens = tokens
        self._principals = principals
        self._clock = clock
        self._verified = BoundedMap[str, AccessClaims](size)

    async def __call__(self, authorization: str | None) -> Principal:
        """The principal of a request.

        Raises:
            Unauthenticated: the token is missing or invalid, or its session has ended.
        """
        claims = self._claims(authorization)
        principal = self._principals.kept(claims.session_id)
        if principal is None or principal.user_id != claims.user_id:
            return await self._of_session(claims.session_id, claims.user_id)
        return principal

    async def refresh(self, principal: Principal) -> Principal:
        """The principal of an earlier request as it is now.

        Raises:
            Unauthenticated: its session has ended.
        """
        if principal.session_id is None:
            return principal
        return await self._of_session(principal.session_id, principal.user_id)

    async def _of_session(self, session_id: UUID, user_id: UUID | None) -> Principal:
        principal = await self._principals.get(session_id)
        if principal is None or principal.user_id != user_id:
            raise Unauthenticated("This session has ended: sign in again.", challenge=INVALID)
        return principal

    def _claims(self, authorization: str | None) -> AccessClaims:
        claims = self._verified.get(authorization or "")
        if claims is not None and claims.expires_at > self._clock().timestamp():
            return claims
        token = bearer_token(authorization)
        if token is None:
            raise Unauthenticated
        try:
            claims = self._tokens.verify(token)
        except Unauthenticated as error:
            self._verified.drop(authorization or "")
            raise Unauthenticated(error.detail, challenge=INVALID) from error
        self._verified.put(authorization or "", claims)
        return claims


@dataclass(frozen=True, slots=True)
class EdgeState:
    """What requests need of the application; set once at boot, as ``app.state.edge``.

    If there is a ``metrics_token``, only its holders may read the metrics.
    """

    bus: Bus
    authenticate: Callable[[str | None], Awaitable[Principal]]
    refresh: Callable[[Principal], Awaitable[Principal]]
    limits: Limits
    secure_cookies: bool
    public_origin: str
    cors_origins: frozenset[str]
    shows_metrics: bool
    metrics_token: str | None
    cache_is_remote: bool
    client_max_age: int

    def knows_origin(self, request: HTTPConnection) -> bool:
        """Whether the page that sends a request, if it is one, is of this application or of
        `APP_CORS_ORIGINS`."""
        host = request.headers.get("host", "")
        own = {normal_origin(f"{scheme}://{host}") for scheme in ("http", "https")}
        given = set(map(normal_origin, request.headers.getlist("origin")))
        return given <= own | {self.public_origin} | self.cors_origins

    async def count(
        self, scope: Scope, template: str | None, limit: LimitClass = GENERAL
    ) -> Principal | None:
        """Count a request that needs no token; return its user, if it has a valid one.

        Under the general limit, a request with a valid token counts for its user, under the tier's
        rule for ``template``, which is the path of its route. Others count for the address.

        Raises:
            RateLimited: too many.
        """
        authorization = field_of(scope, b"authorization")
        try:
            principal = await self.authenticate(authorization) if authorization else None
        except AppError:
            principal = None
        if principal is None or limit is not GENERAL:
            await self.limits.by_address(scope, limit)
        else:
            await self.limits.by_user(scope, principal, template)
        return principal


def edge_of(request: HTTPConnection) -> EdgeState:
    """The edge state of the application that received the request."""
    state: EdgeState = request.scope["backstay.edge"]
    return state


def sender_of(
    request: HTTPConnection,
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
        scope["backstay.client_address"],
        fields_of(scope).get(b"user-agent", b"")[:300].decode("latin-1"),
        preconditions,
        idempotency,
        scope.get("backstay.trace", b"").decode(),
        None,
        device_id,
        device_is_new,
    )
    send = edge.bus.send if scope["type"] == "http" else partial(_send_afresh, edge)
    return Sender(send, scope.get("backstay.principal", STRANGER), origin)


async def _send_afresh(edge: EdgeState, context: Context) -> Any:
    """Send a message of a connection that lasts with the rights that its caller has by now."""
    context.principal = await edge.refresh(context.principal)
    return await edge.bus.send(context)
