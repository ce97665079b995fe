"""Shows which senders are asked for a fresh proof, and what nobody sends for somebody else."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from backstay.core.bus import authorize, check_allowed
from backstay.core.clock import minutes, new_id
from backstay.core.context import Context, Origin, Sender
from backstay.core.errors import FreshProofRequired, Impersonated
from backstay.core.jobs import JobRun
from backstay.core.messages import Command, Message
from backstay.core.permissions import SIGNED_IN
from backstay.core.principal import SYSTEM, Principal
from backstay.core.proof import demanding_proof

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REQUEST = Origin(request_id="one", address="192.0.2.1")
JOB = JobRun(new_id(), "Scuttle", "{}", 1, 1, 0, "user", new_id(), "one", "192.0.2.1", "")


class Sail(Command[None]):
    permission = SIGNED_IN


class Scuttle(Command[None]):
    permission = SIGNED_IN
    fresh = minutes(5)


class Rename(Command[None]):
    permission = SIGNED_IN
    in_person = True


async def handle(context: Context) -> str:
    return "done"


def context_of(
    message: Message[Any], principal: Principal, origin: Origin = REQUEST, *, nested: bool = False
) -> Context:
    async def send(_: Context) -> None: ...

    sender = Sender(send, principal, origin)
    if nested:
        sender = sender.inside(Context(Sail(), principal, origin, sender))
    return Context(message, principal, origin, sender)


async def ask(principal: Principal, origin: Origin = REQUEST, *, nested: bool = False) -> Any:
    call = demanding_proof(lambda: NOW)(Scuttle, handle)
    return await call(context_of(Scuttle(), principal, origin, nested=nested))


def user(proven: timedelta | None, actor_id: UUID | None = None) -> Principal:
    return Principal(
        new_id(), proven_at=None if proven is None else NOW - proven, actor_id=actor_id
    )


@pytest.mark.parametrize("proven", [timedelta(0), minutes(5), minutes(-1)])
async def test_a_fresh_proof_suffices(proven: timedelta) -> None:
    assert await ask(user(proven)) == "done"


@pytest.mark.parametrize("proven", [None, minutes(5) + timedelta(microseconds=1)])
async def test_an_old_or_unknown_proof_is_refused(proven: timedelta | None) -> None:
    with pytest.raises(FreshProofRequired) as caught:
        await ask(user(proven))
    challenge = 'Bearer error="insufficient_user_authentication", max_age="300"'
    assert caught.value.headers == {"WWW-Authenticate": challenge}


async def test_only_requests_of_users_are_asked_for_a_proof() -> None:
    assert await ask(SYSTEM) == "done"
    assert await ask(user(None), Origin(operator="ann@ship")) == "done"
    assert await ask(user(None), REQUEST._replace(job=JOB)) == "done"
    assert await ask(user(None), nested=True) == "done"


async def test_a_message_that_asks_for_nothing_costs_nothing() -> None:
    assert demanding_proof(lambda: NOW)(Sail, handle) is handle


@pytest.mark.parametrize("message", [Scuttle(), Rename()])
@pytest.mark.parametrize("nested", [False, True])
async def test_an_impersonator_sends_nothing_in_person(message: Message[Any], nested: bool) -> None:
    impersonated = context_of(message, user(timedelta(0), actor_id=new_id()), nested=nested)
    with pytest.raises(Impersonated):
        await authorize(type(message), handle)(impersonated)
    with pytest.raises(Impersonated):
        await check_allowed(impersonated)  # as for a job
    assert await authorize(type(message), handle)(context_of(message, user(None))) == "done"


async def test_an_impersonator_sends_the_rest() -> None:
    impersonated = context_of(Sail(), user(None, actor_id=new_id()))
    assert await authorize(Sail, handle)(impersonated) == "done"
