"""The views of bulk actions."""

from datetime import datetime
from uuid import UUID

from backstay.core.jobs import JobState
from backstay.core.messages import View


class BulkStarted(View):
    """Where to look for what becomes of it, and of how many rows."""

    id: UUID
    rows: int


class BulkSummary(View):
    """A bulk action in a list; `operation` is null if it is no longer there."""

    id: UUID
    operation: str | None
    is_over: bool
    created_at: datetime


class BulkList(View):
    """The newest bulk actions."""

    items: tuple[BulkSummary, ...]


class BulkStates(View):
    """How many rows are in which state."""

    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0


class BulkRow(View):
    """What has become of one row, `id` as it was sent.

    `error_code` and `error` say why it failed or, of one that is queued, why its last attempt did.
    """

    id: str
    state: JobState
    error_code: str | None
    error: str | None
    finished_at: datetime | None


class BulkDetail(BulkSummary):
    """A bulk action: `done` of its `rows` are over. `results` are in the order of the ids."""

    rows: int
    done: int
    states: BulkStates
    results: tuple[BulkRow, ...]
