"""Where the server is now: Sentinels know it, or any node of a Cluster."""

import asyncio
import random
import ssl
from dataclasses import replace
from typing import Any

from redis.exceptions import AuthenticationError, MovedError

from backstay.redis.connection import reason_of, wire_to
from backstay.redis.errors import RedisUnavailable
from backstay.settings import RedisAddress

ASK_SECONDS = 0.2
"""How long one of them may take before another is asked."""


async def locate(address: RedisAddress, tls: ssl.SSLContext | None, key: str) -> RedisAddress:
    """The server that the Sentinels take for the master, or the node that has a key.

    They are asked in any order, since one that was cut off from the others knows no better.

    Raises:
        RedisUnavailable: none of them knows.
    """
    reasons = []
    for host, port in random.sample(address.nodes, len(address.nodes)):
        node = replace(address, host=host, port=port)
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await (_ask_sentinel(node, tls) if node.service else _ask(node, tls, key))
        except Exception as error:  # whatever is there instead
            reasons.append(f"{host}:{port}: {reason_of(error)}")
    raise RedisUnavailable("; ".join(reasons))


async def _ask(node: RedisAddress, tls: ssl.SSLContext | None, key: str) -> RedisAddress:
    try:
        await _reply(node, tls, "EXISTS", key)
    except MovedError as moved:
        return replace(node, host=moved.host or node.host, port=moved.port)
    return node


async def _ask_sentinel(node: RedisAddress, tls: ssl.SSLContext | None) -> RedisAddress:
    sentinel, question = replace(node, db=0), ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", node.service)
    try:
        found = await _reply(sentinel, tls, *question)
    except AuthenticationError:  # the account is that of the servers, and not of every Sentinel
        found = await _reply(replace(sentinel, username=None, password=None), tls, *question)
    if found is None:
        raise RedisUnavailable(f"it knows no service {node.service}")
    return replace(node, host=found[0].decode(), port=int(found[1]))


async def _reply(node: RedisAddress, tls: ssl.SSLContext | None, *command: str) -> Any:
    wire = wire_to(node, tls)
    try:
        await wire.connect()  # type: ignore[no-untyped-call]
        await wire.send_command(*command)
        return await wire.read_response()
    finally:
        await wire.disconnect(nowait=True)
