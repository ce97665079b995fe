"""Compares the rows of two tables, whatever their order is."""

from collections.abc import AsyncIterator, Callable
from hashlib import blake2b
from itertools import islice

from backstay.db.copying.codecs import AnyCodec

_BITS = 128
_GROUPS = 4096
_SHOWN = 5

Rows = AsyncIterator[list[bytes]]


class Digest:
    """The number of rows, and the sum of their hashes: the same for the same rows in any order."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0

    def add(self, rows: list[bytes]) -> None:
        """Count rows in, in the form in which they are compared."""
        hashes = [blake2b(row, digest_size=_BITS // 8).digest() for row in rows]
        self._sum += sum(map(int.from_bytes, hashes))
        self.count += len(rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and (self.count, str(self)) == (other.count, str(other))

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"{self._sum % 2**_BITS:032x}"


async def digest_of(codec: AnyCodec, rows: Rows) -> Digest:
    """The digest of every row."""
    found = Digest()
    async for batch in rows:
        found.add(codec.normal(batch))
    return found


async def differences(
    codec: AnyCodec, source: Callable[[], Rows], target: Callable[[], Rows]
) -> list[str]:
    """The first rows that only one side has, by their keys.

    Each side is read twice: first for the sum of each of some thousand groups, then for the rows
    of a few groups in which the sums differ, so that not all rows are in memory.
    """
    ours, theirs = [await _sums(codec, rows()) for rows in (source, target)]
    groups = {*islice((n for n in range(_GROUPS) if ours[n] != theirs[n]), 2 * _SHOWN)}
    here, there = [await _rows_of(codec, rows(), groups) for rows in (source, target)]
    missing = (f"only in the source: {here[each]}" for each in here if each not in there)
    further = (f"only in the target: {there[each]}" for each in there if each not in here)
    return [*islice(missing, _SHOWN), *islice(further, _SHOWN)]


async def _sums(codec: AnyCodec, rows: Rows) -> list[int]:
    sums = [0] * _GROUPS
    async for batch in rows:
        for row in codec.normal(batch):
            hashed = _hash(row)
            sums[hashed % _GROUPS] += hashed
    return sums


async def _rows_of(codec: AnyCodec, rows: Rows, groups: set[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    async for batch in rows:
        for row, normal in zip(batch, codec.normal(batch), strict=True):
            hashed = _hash(normal)
            if hashed % _GROUPS in groups:
                found[hashed] = codec.key(row)
    return found


def _hash(row: bytes) -> int:
    return int.from_bytes(blake2b(row, digest_size=_BITS // 8).digest())
