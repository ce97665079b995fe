"""Finds the server to connect to, through Sentinels or through any node of a Cluster."""

import asyncio
import random
import ssl
from dataclasses import replace
from typing import Any

from redis.exceptions import AuthenticationError, MovedError

from backstay.redis.connection import reason_of, wire_to
from backstay.redis.errors import RedisFault
from backstay.settings import RedisAddress

ASK_SECONDS = 0.2
"""Seconds that one of these nodes may take to answer before the next one is asked."""


async def locate(address: RedisAddress, tls: ssl.SSLContext | None, key: str) -> RedisAddress:
    """Find the server that a Sentinel names as the master, or the Cluster node that holds a key.

    The nodes are asked in random order: one that is cut off from the others may give an outdated
    answer again and again.

    Raises:
        RedisFault: none of them gave an answer; the text has the reason of each.
    """
    reasons = []
    for host, port in random.sample(address.nodes, len(address.nodes)):
        node = replace(address, host=host, port=port)
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await (_ask_sentinel(node, tls) if node.service else _ask(node, tls, key))
        except Exception as error:  # a server of another kind may answer anything
            reasons.append(f"{host}:{port}: {reason_of(error)}")
    raise RedisFault("; ".join(reasons))


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
    except AuthenticationError:  # the credentials are the servers'; a Sentinel may have none
        found = await _reply(replace(sentinel, username=None, password=None), tls, *question)
    if found is None:
        raise RedisFault(f"it knows no service {node.service}")
    return replace(node, host=found[0].decode(), port=int(found[1]))


async def _reply(node: RedisAddress, tls: ssl.SSLContext | None, *command: str) -> Any:
    wire = wire_to(node, tls)
    try:
        await wire.connect()  # type: ignore[no-untyped-call]
        await wire.send_command(*command)
        return await wire.read_response()
    finally:
        await wire.disconnect(nowait=True)
