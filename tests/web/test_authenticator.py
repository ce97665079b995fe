"""Shows that the number of remembered verified tokens is limited."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from backstay.core.clock import new_id, utc_now
from backstay.core.ports import AccessClaims
from backstay.core.principal import Principal
from backstay.principals.cache import PrincipalCache
from backstay.web.state import Authenticator
from tests.clocks import StandingClock

pytestmark = pytest.mark.anyio
PERSON = new_id()
EPOCH = datetime.fromtimestamp(0, UTC)


class Tokens:
    """Accepts every token, and records those it was asked to verify."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def verify(self, token: str) -> AccessClaims:
        self.asked.append(token)
        return AccessClaims(PERSON, new_id(), expires_at=100)


async def test_the_token_verified_first_is_forgotten_first() -> None:
    async def load(session_id: UUID) -> Principal:
        return Principal(PERSON)

    principals, tokens = PrincipalCache(load, monotonic=StandingClock(), clock=utc_now), Tokens()
    authenticate = Authenticator(tokens, principals, lambda: EPOCH, size=2)  # type: ignore[arg-type]
    for token in ("a.b.1", "a.b.2", "a.b.2", "a.b.3", "a.b.3", "a.b.1"):
        assert (await authenticate(f"Bearer {token}")).user_id == PERSON
    assert tokens.asked == ["a.b.1", "a.b.2", "a.b.3", "a.b.1"]
