"""Hashes passwords with Argon2id in low-priority threads, so that logins do not delay requests."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from secrets import token_urlsafe
from typing import TypeVar
from unicodedata import normalize

from pwdlib.hashers.argon2 import Argon2Hasher

from backstay.core.errors import Unavailable

T = TypeVar("T")

MEMORY_KIB, TIME_COST, LANES = 19_456, 2, 1
"""OWASP Password Storage Cheat Sheet: Argon2id, 19 MiB, 2 iterations, 1 lane."""

SALT = 17
"""The length of the salt in bytes.

Hashes with 16 bytes were made of passwords as they were typed; those with 17, of composed ones
(NFC). The length thus says which form to check, and every check costs exactly one hash.
"""
_SALT_TEXT = 23
"""The length of that salt in a hash (Base64)."""

STOPPING = "The server is stopping: try again, another one will answer."


class Argon2Passwords:
    """The Passwords port. At most ``threads`` hashes are computed at once; further ones wait."""

    def __init__(self, threads: int | None = None) -> None:
        self._hasher = _hasher()
        self._pool = ThreadPoolExecutor(
            threads or min(4, _processors()), "passwords", initializer=_be_nice
        )
        self._closed = False

    async def hash(self, password: str) -> str:
        """A salted Argon2id hash of the password in its composed form (NFC)."""
        return await self._run(lambda: self._hasher.hash(normalize("NFC", password)))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether the password matches. Without a hash, checking a decoy takes the same time."""
        fits = await self._run(lambda: self._check(password, hashed or _decoy()))
        return fits and hashed is not None

    def is_outdated(self, hashed: str) -> bool:
        """Whether the hash has other parameters, or was made of the password as it was typed."""
        return self._hasher.check_needs_rehash(hashed)

    async def warm_up(self) -> None:
        """Compute the decoy, so that the first unknown login takes no longer than others."""
        await self._run(_decoy)

    def close(self) -> None:
        """Stop the threads; waiting calls raise Unavailable."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _check(self, password: str, hashed: str) -> bool:
        form = normalize("NFC", password) if _is_normalised(hashed) else password
        return self._hasher.verify(form, hashed)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            future = self._pool.submit(work)
        except RuntimeError as error:
            raise Unavailable(STOPPING) from error
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if self._closed and future.cancelled():
                raise Unavailable(STOPPING) from None
            raise


@cache
def _decoy() -> str:
    """The hash that is checked for accounts without one."""
    return _hasher().hash(token_urlsafe())


def _hasher() -> Argon2Hasher:
    return Argon2Hasher(TIME_COST, MEMORY_KIB, LANES, salt_len=SALT)


def _is_normalised(hashed: str) -> bool:
    return len("".join(hashed.split("$")[-2:-1])) == _SALT_TEXT


def _processors() -> int:
    """How many processors this process may use.

    A thread beyond that number would take processor time from a thread that holds the interpreter's
    lock.
    """
    count = os.cpu_count() or 1
    if sys.platform == "linux":
        count = len(os.sched_getaffinity(0))
    return count


def _be_nice() -> None:
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
