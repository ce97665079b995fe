"""A map of limited size, for the caches in process."""

from collections.abc import Hashable, Iterable, Iterator
from math import inf
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedMap(Generic[K, V]):
    """Values by key, which can also be dropped by tag.

    When there are more than ``most`` values, or their sizes exceed ``most_size`` together, the
    value that was put or used longest ago is dropped.
    """

    def __init__(self, most: int, most_size: float = inf) -> None:
        self.most, self._most_size = most, most_size
        self._slots: dict[K, tuple[V, tuple[Hashable, ...], int]] = {}
        self._keys: dict[Hashable, set[K]] = {}
        self._size = 0

    def __iter__(self) -> Iterator[K]:
        return iter(self._slots)

    def get(self, key: K) -> V | None:
        """The value of a key, or None."""
        slot = self._slots.get(key)
        return None if slot is None else slot[0]

    def use(self, key: K) -> None:
        """Mark an existing key as used now, so that it is dropped last."""
        self._slots[key] = self._slots.pop(key)

    def put(self, key: K, value: V, tags: tuple[Hashable, ...] = (), size: int = 0) -> None:
        """Keep a value, in place of the key's present one."""
        self.drop(key)
        self._slots[key] = value, tags, size
        self._size += size
        for tag in tags:
            self._keys.setdefault(tag, set()).add(key)
        while len(self._slots) > self.most or self._size > self._most_size:
            self.drop(next(iter(self._slots)))

    def drop(self, key: K) -> None:
        """Drop a key, if it exists."""
        slot = self._slots.pop(key, None)
        if slot is None:
            return
        _, tags, size = slot
        self._size -= size
        for tag in tags:
            keys = self._keys[tag]
            keys.discard(key)
            if not keys:
                del self._keys[tag]

    def clear(self) -> None:
        """Drop every key."""
        self._slots.clear()
        self._keys.clear()
        self._size = 0

    def drop_tagged(self, tags: Iterable[Hashable]) -> None:
        """Drop the keys that have one of these tags."""
        for tag in tags:
            for key in self._keys.get(tag, frozenset[K]()).copy():
                self.drop(key)

    def drop_all_tagged(self) -> None:
        """Drop all keys that have tags."""
        self.drop_tagged(tuple(self._keys))
