"""Recognises devices from which an account signed in before, and reports new ones."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from backstay.core.addresses import limit_key
from backstay.core.bus import handles
from backstay.core.context import Origin
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.core.ports import Clock, RefreshTokens
from backstay.db.session import Transaction
from backstay.features.auth.events import NewDeviceSignedIn
from backstay.features.auth.model import Device
from backstay.features.auth.schemas import MOST_DEVICES, KnownDevice
from backstay.features.users.schemas import Account
from backstay.jobs.outbox import Events
from backstay.jobs.purging import Purge

KEPT = timedelta(days=180)
"""How long a device stays known after the last sign-in from it."""
_NOTED_EVERY = timedelta(days=1)


async def note_device(
    account: Account,
    rows: Sequence[KnownDevice],
    session: Transaction,
    refresh: RefreshTokens,
    events: Events,
    origin: Origin,
    now: datetime,
) -> None:
    """Record the device of a sign-in, and publish an event if the account does not know it.

    ``rows`` are its known devices, last seen first. There is no event for the first device of an
    account.
    """
    known = {row.device_hash: row for row in rows}
    identifier, *hashes = _hashes(account, refresh, origin)
    seen = known.get(identifier)
    is_new = seen is None or now - seen.last_seen_at > KEPT
    if seen is not None and now - seen.last_seen_at > _NOTED_EVERY:
        await session.update_where(Device, Device.id == seen.id, last_seen_at=now)
    if seen is None:
        is_new = await _add(account, identifier, session, now)
    for cookie in (added := [each for each in hashes if each not in known]):
        await _add(account, cookie, session, now)
    others = [row.id for row in rows if row.device_hash != identifier]
    if excess := others[MOST_DEVICES - 1 - len(added) :]:
        await session.delete_where(Device, Device.id.in_(excess))
    if rows and is_new:
        await events.publish(
            NewDeviceSignedIn(
                user_id=account.id,
                email=account.email,
                is_confirmed=account.email_verified,
                device=origin.user_agent,
                address=origin.address,
            )
        )


def _hashes(account: Account, refresh: RefreshTokens, origin: Origin) -> list[bytes]:
    """The hash that identifies this device, then further ones that identify it from now on.

    A browser is identified by its device cookie. A client that gets this cookie only now may be a
    program that keeps no cookies, so it is identified by its user agent and network. A client that
    signs in without cookies is identified by its user agent alone.
    """
    if not origin.device_id:
        return [refresh.keyed_hash("user-agent", account.id, origin.user_agent)]
    cookie = refresh.keyed_hash("device", account.id, origin.device_id)
    if not origin.device_is_new:
        return [cookie]
    place = f"{limit_key(origin.address)} {origin.user_agent}"
    return [refresh.keyed_hash("user-agent-at", account.id, place), cookie]


async def _add(account: Account, device_hash: bytes, session: Transaction, now: datetime) -> bool:
    """Record a new device; False if a concurrent sign-in has just recorded it."""
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
    """Remove devices half a year after the last sign-in; whether more may be left.

    An account keeps its latest device. Without it the next one would count as the first, which
    publishes no event.
    """

    permission = SYSTEM_ONLY


@handles(PurgeDevices)
async def purge_devices(command: PurgeDevices, clock: Clock, purge: Purge) -> bool:
    newer = aliased(Device)
    later = select(newer.id).where(
        newer.user_id == Device.user_id, newer.last_seen_at > Device.last_seen_at
    )
    return await purge(Device, Device.last_seen_at < clock() - KEPT, later.exists())
