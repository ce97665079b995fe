"""The views of the audit trail."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from backstay.core.messages import View

Outcome = Literal["ok", "refused", "failed"]


class ActivityEntry(View):
    """What somebody asked for and what became of it.

    `actor` says who sent `message`, `user_id` whom it is about: a stranger who signs in names an
    account. `targets` are the ids that it names or made; `id` among them is that of the object
    whose history it belongs to. `fields` are the names of what was sent, never the values.
    `operator` is the person at the command line who sent it as that user, or as the application.
    """

    id: UUID
    created_at: datetime
    user_id: UUID | None
    actor: Literal["user", "system", "anonymous"]
    session_id: UUID | None
    address: str
    request_id: str
    message: str
    permission: str | None = Field(description="Null where none is needed.")
    targets: dict[str, str]
    fields: tuple[str, ...]
    outcome: Outcome = Field(
        description="`refused` for what was not allowed or not valid, `failed` for a fault of "
        "the application or its database; neither changed anything."
    )
    code: str | None = Field(description="The code of the error; null where it was done.")
    status: int | None = Field(
        description="The HTTP status of the error. Null where it was done: a command knows no "
        "status of success, since not all come by HTTP."
    )
    operator: str | None = Field(description="Null for what came by HTTP or from a job.")


class ActivityExport(View):
    """A row of the audit trail in the export of a person's data."""

    id: UUID
    created_at: datetime
    session_id: UUID | None
    address: str
    message: str
    targets: dict[str, str]
    fields: tuple[str, ...]
    outcome: Outcome
    code: str | None
