"""Commands by which operators switch maintenance on and off."""

from pydantic import Field

from backstay.core.bus import handles
from backstay.core.context import Origin
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.db.maintenance import MaintenanceSwitch

MONTH = 30 * 86_400
"""Seconds: the longest maintenance that ends by itself."""


class BeginMaintenance(Command[None]):
    """Refuse the commands of requests, and let jobs pause, until the end or for ``seconds``.

    Clients read the ``reason``. If it is on already, only why and how long change.
    """

    permission = SYSTEM_ONLY
    allowed_in_maintenance = True

    reason: str = Field(default="", max_length=500)
    seconds: int | None = Field(default=None, ge=1, le=MONTH)


@handles(BeginMaintenance)
async def begin_maintenance(
    command: BeginMaintenance, switch: MaintenanceSwitch, origin: Origin
) -> None:
    await switch.on(command.reason, origin.operator, command.seconds)


class EndMaintenance(Command[bool]):
    """Carry out commands and jobs again; whether maintenance was on."""

    permission = SYSTEM_ONLY
    allowed_in_maintenance = True


@handles(EndMaintenance)
async def end_maintenance(command: EndMaintenance, switch: MaintenanceSwitch) -> bool:
    return await switch.off()
