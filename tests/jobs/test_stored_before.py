"""Shows that jobs which an earlier release stored still run: rows name commands and subscribers."""

import json
from uuid import uuid4

import pytest
from sqlalchemy import insert, select

from backstay.composition import Backstay
from backstay.jobs.statements import NOW
from backstay.jobs.tables import Job
from tests.features.steps import execute, needs
from tests.jobs.steps import drain

pytestmark = [pytest.mark.anyio, needs("mail"), needs("tasks")]

STORED = {
    "CountDemo": {"steps": 2, "seconds": 0.0},
    "PurgeActivity": {},
    "PurgeDevices": {},
    "PurgeIdempotencyKeys": {},
    "PurgeJobs": {},
    "PurgeMailTokens": {},
    "PurgeSessions": {},
    "SendMail": {"template": "email_replaced", "recipient": "ada@example.org"},
    "AnswerEvent": {
        "subscription": "backstay.features.mail.commands.notices.tell_former_address",
        "kind": "EmailReplaced",
        "event": {
            "event_id": "01890a5d-ac96-774b-bcce-b302099a8057",
            "user_id": "01890a5d-ac96-774b-bcce-b302099a8058",
            "former": "ada@example.org",
            "was_confirmed": False,
        },
    },
}
"""Names and payloads as version 0.1 wrote them."""


async def test_jobs_of_an_earlier_release_still_run(backstay: Backstay) -> None:
    for position, (name, payload) in enumerate(STORED.items()):
        row = {
            "id": uuid4(),
            "position": position,
            "name": name,
            "payload": json.dumps(payload),
            "queue": "mail" if name == "SendMail" else "default",
            "state": "queued",
            "max_attempts": 1,
            "actor": "system",
            "request_id": "",
            "address": "",
            "traceparent": "",
            "is_cancelled": False,
        }
        await execute(backstay, insert(Job).values(**row, created_at=NOW, due_at=NOW))
    await drain(backstay)
    ended = await execute(backstay, select(Job.name, Job.state, Job.error))
    assert set(map(tuple, ended)) == {(name, "succeeded", None) for name in STORED}
