"""The query that checks whether a password may be chosen."""

from backstay.core.bus import handles
from backstay.core.errors import FieldError, Invalid
from backstay.core.messages import Query
from backstay.core.permissions import SYSTEM_ONLY
from backstay.core.ports import BreachedPasswords
from backstay.features.users.schemas import Secret, vet_password
from backstay.settings import AppSettings


class VetPassword(Query[None]):
    """Refuse a password that is easily guessed or was published after a break-in.

    ``email`` is that of its owner; ``field`` is what the refusal blames.
    """

    permission = SYSTEM_ONLY

    password: Secret
    email: str
    field: str


@handles(VetPassword)
async def vet_new_password(
    query: VetPassword, app: AppSettings, breached: BreachedPasswords
) -> None:
    vet_password(query.password, query.email, app.name, query.field)
    if await breached.contains(query.password):
        told = "This password was published after a break-in somewhere"
        raise Invalid(errors=(FieldError(query.field, "breached_password", told),))
