"""A feature of the benchmark: a command that stores one job."""

from backstay.core.bus import handles
from backstay.core.messages import Command
from backstay.core.permissions import SIGNED_IN, SYSTEM_ONLY
from backstay.jobs.outbox import Jobs
from backstay.web.routes import Routes


class Rest(Command[None]):
    """Does nothing."""

    permission = SYSTEM_ONLY


@handles(Rest)
async def rest(command: Rest) -> None: ...


class EnqueueRest(Command[None]):
    """Stores one job, which nobody runs: the measured servers have no workers."""

    permission = SIGNED_IN


@handles(EnqueueRest)
async def enqueue_rest(command: EnqueueRest, jobs: Jobs) -> None:
    await jobs.as_system().enqueue(Rest())


routes = Routes("/bench", tag="bench")
routes.post("/jobs", EnqueueRest)
