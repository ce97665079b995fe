"""The query that counts the users of a tier."""

from sqlalchemy import bindparam, func, select

from backstay.core.bus import handles
from backstay.core.messages import Query
from backstay.core.permissions import SYSTEM_ONLY
from backstay.db.session import Reader
from backstay.features.users.model import User


class CountUsersOfTier(Query[int]):
    """How many users are in a tier, deleted ones too."""

    permission = SYSTEM_ONLY

    tier: str


_COUNT = select(func.count()).select_from(User).where(User.tier == bindparam("tier"))


@handles(CountUsersOfTier)
async def count_users_of_tier(query: CountUsersOfTier, reader: Reader) -> int:
    return int(await reader.scalar(_COUNT, {"tier": query.tier}))
