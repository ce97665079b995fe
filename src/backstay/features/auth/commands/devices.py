"""Telling a device that an account was signed in from before from a new one."""

from datetime import datetime, timedelta

from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError

from backstay.core.bus import handles
from backstay.core.context import Origin
from backstay.core.messages import SYSTEM_ONLY, Command
from backstay.core.outbox import Events
from backstay.core.ports import Clock, RefreshTokens
from backstay.db.purging import Purge
from backstay.db.queries import delete_where, update_where
from backstay.db.session import Transaction
from backstay.features.auth.events import NewDeviceSignedIn
from backstay.features.auth.model import Device
from backstay.features.users.schemas import Account

KEPT = timedelta(days=180)
"""How long a device is known after it was last signed in from."""
MOST = 100
"""How many devices of one account are known; a new one takes the place of the oldest."""
_NOTED_EVERY = timedelta(days=1)

_KNOWN = (
    select(Device.id, Device.device_hash, Device.last_seen_at)
    .where(Device.user_id == bindparam("user_id"), Device.last_seen_at > bindparam("since"))
    .order_by(Device.last_seen_at.desc())
    .limit(MOST)
)


async def note_device(
    account: Account,
    session: Transaction,
    refresh: RefreshTokens,
    events: Events,
    origin: Origin,
    now: datetime,
) -> None:
    """Note where an account is signed in from; a device that it does not know is told of.

    A browser is told by its cookie, whatever has none by its user agent. The first device of an
    account is no news.
    """
    parameters = {"user_id": account.id, "since": now - KEPT}
    rows = (await session.execute(_KNOWN, parameters)).all()
    known = {row.device_hash: row for row in rows}
    cookie = None
    told_by = refresh.keyed_hash("user-agent", account.id, origin.user_agent)
    if origin.device is not None:
        cookie = refresh.keyed_hash("device", account.id, origin.device.id)
        told_by = told_by if origin.device.is_new else cookie
    is_known = told_by in known
    if is_known and now - known[told_by].last_seen_at > _NOTED_EVERY:
        await update_where(session, Device, Device.id == known[told_by].id, last_seen_at=now)
    is_new = not is_known and await _add(account, told_by, session, now)
    if cookie and cookie not in {told_by, *known}:
        await _add(account, cookie, session, now)
    for row in rows[MOST - 2 :]:
        await delete_where(session, Device, Device.id == row.id)
    if rows and is_new:
        await events.publish(
            NewDeviceSignedIn(
                user_id=account.id,
                email=account.email,
                device=origin.user_agent,
                address=origin.address,
            )
        )


async def _add(account: Account, device_hash: bytes, session: Transaction, now: datetime) -> bool:
    """Note a new device, unless somebody signed in from it at the same moment and did so."""
    device = Device(
        user_id=account.id, device_hash=device_hash, first_seen_at=now, last_seen_at=now
    )
    try:
        async with session.begin_nested():
            session.add(device)
    except IntegrityError:
        return False
    return True


class PurgeDevices(Command[bool]):
    """Forget devices that nobody has signed in from for half a year; whether more may be left."""

    permission = SYSTEM_ONLY


@handles(PurgeDevices)
async def purge_devices(command: PurgeDevices, clock: Clock, purge: Purge) -> bool:
    return await purge(Device, Device.last_seen_at < clock() - KEPT)
