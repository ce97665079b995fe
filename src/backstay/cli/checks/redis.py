"""The checks of Redis: whether it answers, can be written, and drops what it should when full."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from time import time
from typing import Any

from backstay.cli.checks.database import clock_finding
from backstay.cli.checks.finding import Finding, check, error, note, ok, warning
from backstay.cli.checks.subject import Subject
from backstay.redis.keys import prefix_of
from backstay.settings import RedisAddress

REACHABLE = "redis.reachable"
_SEE = "See that it runs, and that REDIS_URL is right."
_OLDEST = 6
"""The oldest version of Redis that is supported."""
_FULL = 0.9
"""The part of its memory that may be in use where nothing is dropped."""

Look = Callable[[RedisAddress], Awaitable[Finding]]


@check(REACHABLE, "REDIS_", mend=_SEE)
async def reachable(subject: Subject) -> list[Finding]:
    """Whether each server answers, and accepts the password."""
    from backstay.redis.client import RedisFault

    async def look(address: RedisAddress) -> Finding:
        try:
            (reply,) = await _asked(address, ("PING",))
        except RedisFault as failure:
            return error(f"It does not answer: {str(failure).rstrip('.')}.", _SEE)
        if isinstance(reply, Exception):
            return error(f"It answers {reply}.", "See REDIS_USERNAME and REDIS_PASSWORD.")
        return ok(str(address))

    return await _each(subject, look)


@check("redis.version", "REDIS_", after=REACHABLE)
async def version(subject: Subject) -> list[Finding]:
    """Whether it knows the commands that are used."""

    async def look(address: RedisAddress) -> Finding:
        told = await _info(address)
        return version_finding(told) if told else _not_told()

    return await _each(subject, look)


def version_finding(told: dict[str, str]) -> Finding:
    """What to say of a version; Valkey and Dragonfly name their own besides that of Redis."""
    for kind in ("valkey", "dragonfly"):
        if f"{kind}_version" in told:
            return ok(f"{kind.capitalize()} {told[f'{kind}_version']}")
    found = told.get("redis_version", "0")
    if int(found.partition(".")[0]) < _OLDEST:
        mend = f"Upgrade it to Redis {_OLDEST} or newer, Valkey or Dragonfly."
        return error(f"Redis {found} is too old.", mend)
    return ok(f"Redis {found}")


@check("redis.writable", "REDIS_", after=REACHABLE)
async def writable(subject: Subject) -> list[Finding]:
    """Whether a key can be written that expires at once; replicas and full servers refuse it."""

    async def look(address: RedisAddress) -> Finding:
        (reply,) = await _asked(address, ("SET", f"{prefix_of(address)}probe", "", "PX", "1000"))
        if not isinstance(reply, Exception):
            return ok("a key was written")
        code = str(reply).partition(" ")[0]
        mend = _MENDS.get(code, "See what its log says.")
        return error(f"It refuses to be written: {reply}.", mend)

    return await _each(subject, look)


_MENDS = {
    "OOM": "It is full: raise maxmemory, and set maxmemory-policy allkeys-lru.",
    "READONLY": "It is a replica: name its master, or its Sentinels (redis+sentinel://).",
    "MISCONF": 'It cannot save to its disk: turn saving off (save ""), which nothing here needs.',
    "NOPERM": "Let its user run all commands on the keys backstay:* and its channels.",
}


@check("redis.memory", "REDIS_", after=REACHABLE)
async def memory(subject: Subject) -> list[Finding]:
    """Whether it has a limit, and drops old keys there instead of refusing new ones."""

    async def look(address: RedisAddress) -> Finding:
        told = await _info(address)
        return memory_finding(told) if told else _not_told()

    return await _each(subject, look)


def memory_finding(told: dict[str, str]) -> Finding:
    """What to say of its memory."""
    most, used = int(told.get("maxmemory", "0")), int(told.get("used_memory", "0"))
    policy = told.get("maxmemory_policy", "")
    if not most:
        mend = "Set maxmemory, and maxmemory-policy allkeys-lru."
        return note("It has no limit of memory: it takes what the machine has.", mend)
    amount = f"{used / 2**20:.0f} of {most / 2**20:.0f} MiB are in use"
    if policy != "noeviction":
        return ok(f"{amount}, {policy}")
    mend = "Set maxmemory-policy allkeys-lru: all that Backstay keeps there can be lost."
    if used > most * _FULL:
        return error(f"{amount}, and then it refuses to be written (noeviction).", mend)
    return warning(f"Once it is full, it refuses to be written (noeviction); {amount}.", mend)


@check("redis.persistence", "REDIS_", after=REACHABLE)
async def persistence(subject: Subject) -> list[Finding]:
    """Whether it saves what need not be saved."""

    async def look(address: RedisAddress) -> Finding:
        told = await _info(address)
        return persistence_finding(told) if told else _not_told()

    return await _each(subject, look)


def persistence_finding(told: dict[str, str]) -> Finding:
    """What to say of what it keeps on its disk."""
    mend = 'Unless others use it: save "", appendonly no.'
    if told.get("rdb_last_bgsave_status", "ok") != "ok":
        return warning("It failed to save to its disk, and may then refuse to be written.", mend)
    if told.get("aof_enabled") == "1":
        return note("It keeps a log of all writes, which nothing here needs.", mend)
    return ok("nothing needs to be kept")


@check("redis.clock", "REDIS_", "SECURITY_CLOCK_", after=REACHABLE)
async def clock(subject: Subject) -> list[Finding]:
    """Whether it agrees with the clock of this machine."""

    async def look(address: RedisAddress) -> Finding:
        before = time()
        (reply,) = await _asked(address, ("TIME",))
        if isinstance(reply, Exception):
            return _not_told()
        ours = (before + time()) / 2
        ahead = int(reply[0]) + int(reply[1]) / 1e6 - ours
        return clock_finding("Redis", ahead, subject.settings.security.clock_skew_seconds)

    return await _each(subject, look)


async def _each(subject: Subject, look: Look) -> list[Finding]:
    """What is found of each server, named where there are several."""
    addresses = list(dict.fromkeys(_addresses(subject)))
    found = [await look(address) for address in addresses]
    if len(addresses) < 2:
        return found
    pairs = zip(addresses, found, strict=True)
    return [replace(each, cause=f"{address}: {each.cause}") for address, each in pairs]


def _addresses(subject: Subject) -> Iterator[RedisAddress]:
    redis = subject.settings.redis
    for address in (redis.address, redis.cache_address, redis.rate_limit_address):
        if address is not None:
            yield address


async def _asked(address: RedisAddress, *commands: tuple[str, ...]) -> list[Any]:
    from backstay.redis.connection import ask

    return await ask(address, f"{prefix_of(address)}probe", *commands)


async def _info(address: RedisAddress) -> dict[str, str]:
    """What the server tells of itself; empty if this user may not ask."""
    (reply,) = await _asked(address, ("INFO",))
    if isinstance(reply, Exception):
        return {}
    lines = (line.partition(":") for line in reply.decode().splitlines())
    return {name: value for name, _, value in lines if value}


def _not_told() -> Finding:
    return note("It does not tell its user about itself.", "Allow INFO and TIME to that user.")
