"""A source of principals for tests of the principal cache."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import anyio

from backstay.core.clock import new_id
from backstay.core.principal import Principal
from backstay.principals.cache import PrincipalCache

Load = Callable[[UUID], Awaitable[Principal | None]]
START = datetime(2026, 1, 1, tzinfo=UTC)


class Sessions:
    """A source of principals that counts how often it is asked and can be held up."""

    def __init__(self) -> None:
        self.users: dict[UUID, UUID] = {}
        self.loads = 0
        self.level = 0
        self.valid_until: datetime | None = None
        self.actor_id: UUID | None = None
        self.gate = anyio.Event()
        self.gate.set()
        self.now = 0.0

    def start(self, user_id: UUID | None = None) -> UUID:
        session_id = new_id()
        self.users[session_id] = user_id or new_id()
        return session_id

    async def load(self, session_id: UUID) -> Principal | None:
        self.loads += 1
        user_id, level = self.users.get(session_id), self.level
        await self.gate.wait()
        if user_id is None:
            return None
        return Principal(
            user_id=user_id, level=level, valid_until=self.valid_until, actor_id=self.actor_id
        )

    def cache(self, **options: int) -> PrincipalCache:
        return self.cache_of(self.load, **options)

    def cache_of(self, load: Load, **options: int) -> PrincipalCache:
        return PrincipalCache(
            load,
            monotonic=lambda: self.now,
            clock=lambda: START + timedelta(seconds=self.now),
            max_age=60.0,
            max_staleness=1.0,
            **options,
        )
