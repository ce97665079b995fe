"""The query that exports everything the application holds about the caller."""

from backstay.core.bus import handles
from backstay.core.context import Sender
from backstay.core.errors import NotFound
from backstay.core.feature import Feature
from backstay.core.messages import Query
from backstay.core.permissions import SIGNED_IN
from backstay.core.principal import Principal
from backstay.features.users.queries.accounts import GetAccount, profile_of
from backstay.features.users.schemas import Export


class ExportMe(Query[Export]):
    """Everything held about you: your profile and what each feature keeps of yours."""

    permission = SIGNED_IN


@handles(ExportMe)
async def export_me(
    query: ExportMe, principal: Principal, features: tuple[Feature, ...], send: Sender
) -> Export:
    system = send.as_system()
    account = await system(GetAccount(user_id=principal.id))
    if account is None:
        raise NotFound
    return Export(
        profile=profile_of(principal, account),
        data={
            name: await system(question(user_id=principal.id))
            for feature in features
            for name, question in feature.personal_data.items()
        },
    )
