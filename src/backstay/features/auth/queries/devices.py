"""Queries about the devices from which users signed in."""

from uuid import UUID

from sqlalchemy import bindparam, select

from backstay.core.bus import handles
from backstay.core.context import Sender
from backstay.core.errors import NotFound
from backstay.core.feature import PersonalData
from backstay.core.messages import FromPath, Query, View
from backstay.core.permissions import SYSTEM_ONLY
from backstay.db.queries import columns_of
from backstay.db.session import Reader
from backstay.features.auth.model import Device
from backstay.features.auth.queries.sessions import LIST
from backstay.features.auth.schemas import (
    MOST_DEVICES,
    DeviceExport,
    DeviceList,
    DeviceView,
    KnownDevice,
)
from backstay.features.users.queries.accounts import GetAccount
from backstay.features.users.queries.authority import check_authority


class ListKnownDevices(Query[tuple[KnownDevice, ...]]):
    """The devices from which an account signed in before, last seen first."""

    permission = SYSTEM_ONLY

    user_id: UUID


_KNOWN_DEVICES = (
    select(Device.id, Device.device_hash, Device.last_seen_at)
    .where(Device.user_id == bindparam("user_id"))
    .order_by(Device.last_seen_at.desc())
    .limit(2 * MOST_DEVICES)
)


@handles(ListKnownDevices)
async def list_known_devices(query: ListKnownDevices, reader: Reader) -> tuple[KnownDevice, ...]:
    rows = await reader.rows(_KNOWN_DEVICES, {"user_id": query.user_id})
    return tuple(KnownDevice(*row) for row in rows)


class ExportDevices(PersonalData):
    """The devices that a person has signed in from."""

    permission = SYSTEM_ONLY


_DEVICES = (
    select(*columns_of(DeviceExport, Device))
    .where(Device.user_id == bindparam("user_id"))
    .order_by(Device.id)
)


@handles(ExportDevices)
async def export_devices(query: ExportDevices, reader: Reader) -> tuple[View, ...]:
    rows = await reader.rows(_DEVICES, {"user_id": query.user_id})
    return tuple(DeviceExport.model_validate(row) for row in rows)


class ListDevicesOfUser(Query[DeviceList]):
    """The devices from which a user signed in, last seen first; a device is known for half a year.

    They have no names: only a hash identifies one, so the list tells when, and from how many.
    """

    permission = LIST

    id: FromPath[UUID]


_SEEN = (
    select(*columns_of(DeviceView, Device))
    .where(Device.user_id == bindparam("user_id"))
    .order_by(Device.last_seen_at.desc(), Device.id.desc())
    .limit(2 * MOST_DEVICES)
)


@handles(ListDevicesOfUser)
async def list_devices_of_user(
    query: ListDevicesOfUser, reader: Reader, send: Sender
) -> DeviceList:
    await check_authority(query, query.id, send)
    if await send.as_system()(GetAccount(user_id=query.id)) is None:
        raise NotFound
    rows = await reader.rows(_SEEN, {"user_id": query.id})
    return DeviceList(items=tuple(DeviceView.model_validate(row) for row in rows))
