"""Password hashes with Argon2id in low-priority threads, so that logins never stall requests."""

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
"""Bytes of salt. One more than when passwords were hashed as they were typed: so a hash tells which
form of a password it was made from, and to check one costs one hash, whoever asks."""
_SALT_TEXT = 23
"""The length of that salt in a hash (Base64)."""

STOPPING = "The server is stopping: try again, another one will answer."


class Argon2Passwords:
    """The Passwords port. At most ``threads`` hashes run at once; the others wait their turn."""

    def __init__(self, threads: int | None = None) -> None:
        self._hasher = _hasher()
        self._pool = ThreadPoolExecutor(
            threads or min(4, _processors()), "passwords", initializer=_be_nice
        )
        self._closed = False

    async def hash(self, password: str) -> str:
        """A salted Argon2id hash of a password, composed (NFC)."""
        return await self._run(lambda: self._hasher.hash(normalize("NFC", password)))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether the password fits; without a hash the same work is done in vain."""
        fits = await self._run(lambda: self._check(password, hashed or _decoy()))
        return fits and hashed is not None

    def is_outdated(self, hashed: str) -> bool:
        """Whether the hash was made with other parameters, or of a password as it was typed."""
        return self._hasher.check_needs_rehash(hashed)

    async def warm_up(self) -> None:
        """Make the decoy, so that not even the first unknown login takes longer."""
        await self._run(_decoy)

    def close(self) -> None:
        """Stop the threads; what waits for its turn is refused."""
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
    """What is verified where there is no hash."""
    return _hasher().hash(token_urlsafe())


def _hasher() -> Argon2Hasher:
    return Argon2Hasher(TIME_COST, MEMORY_KIB, LANES, salt_len=SALT)


def _is_normalised(hashed: str) -> bool:
    return len("".join(hashed.split("$")[-2:-1])) == _SALT_TEXT


def _processors() -> int:
    """How many this process may use: a thread more than that would hold up, by its share of a
    processor, another one that holds the interpreter's lock."""
    count = os.cpu_count() or 1
    if sys.platform == "linux":
        count = len(os.sched_getaffinity(0))
    return count


def _be_nice() -> None:
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
