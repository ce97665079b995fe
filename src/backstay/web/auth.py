"""Turns an Authorization header into a principal, without a query if the principal is cached."""

from collections.abc import Callable

from backstay.core.bounded_map import BoundedMap
from backstay.core.errors import Unauthenticated
from backstay.core.ports import AccessClaims, AccessTokens
from backstay.core.principal import Principal
from backstay.principals.cache import PrincipalCache

INVALID = 'Bearer error="invalid_token"'


def bearer_token(authorization: str | None) -> str | None:
    """The token of a ``Bearer`` header, or None."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


class Authenticator:
    """Verifies access tokens. The claims of a verified token are cached until it expires."""

    def __init__(
        self,
        tokens: AccessTokens,
        principals: PrincipalCache,
        time: Callable[[], float],
        size: int = 10_000,
    ) -> None:
        self._tokens = tokens
        self._principals = principals
        self._time = time
        self._verified = BoundedMap[str, AccessClaims](size)

    async def __call__(self, authorization: str | None) -> Principal:
        """The principal of a request.

        Raises:
            Unauthenticated: the token is missing or invalid, or its session has ended.
        """
        token = bearer_token(authorization)
        if token is None:
            raise Unauthenticated
        claims = self._claims(token)
        principal = await self._principals.get(claims.session_id)
        if principal is None or principal.user_id != claims.user_id:
            raise Unauthenticated("This session has ended: sign in again.", challenge=INVALID)
        return principal

    def _claims(self, token: str) -> AccessClaims:
        claims = self._verified.get(token)
        if claims is not None and claims.expires_at > self._time():
            return claims
        self._verified.drop(token)
        try:
            claims = self._tokens.verify(token)
        except Unauthenticated as error:
            raise Unauthenticated(error.detail, challenge=INVALID) from error
        self._verified.put(token, claims)
        return claims
