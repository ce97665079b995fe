"""An application with the faults of code that alerts are about; never served to anybody."""

import os
import resource
import time
from pathlib import Path

from fastapi import APIRouter

from backstay import STANDARD, SYSTEM_ONLY, Application, Command, Feature, every, handles

router = APIRouter(prefix="/faults")
_kept: list[bytes] = []


class TakeTurn(Command[None]):
    """Does nothing, every ten seconds."""

    permission = SYSTEM_ONLY


@handles(TakeTurn)
async def take_turn(command: TakeTurn) -> None:
    """Do nothing."""


@router.get("/block")
async def block(seconds: float) -> int:
    """Hold up every other request of the process, and tell which it is."""
    time.sleep(seconds)  # noqa: ASYNC251 - the fault
    return os.getpid()


@router.get("/keep")
def keep(mib: int) -> int:
    """Use memory and never give it back, beside other requests, and tell the process."""
    _kept.extend(b"x" * 2**20 for _ in range(mib))
    return os.getpid()


@router.get("/files")
async def files(most: int) -> int:
    """Let the process open so many files at most, as a unit does; and tell how many it has."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, hard), hard))
    return len(list(Path("/proc/self/fd").iterdir()))


feature = Feature("faults", __name__, schedule=(every("10s", TakeTurn(), name="turns"),))
application = Application(
    "faulty", features=(*STANDARD, feature), routers=(router,), migrations=None
)
