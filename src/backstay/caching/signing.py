"""Signs cache entries, because other programs may write to the same Redis."""

from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest

SIZE = 16


class Signer:
    """Signs values with a key derived from a secret; ``name`` identifies that key."""

    def __init__(self, secret: bytes) -> None:
        self._key = blake2b(secret, person=b"backstay cache").digest()
        self.name = blake2b(self._key, digest_size=4).hexdigest()

    def sign(self, key: str, versions: Sequence[bytes], value: bytes) -> bytes:
        """Prefix the value with a hash that binds it to its key and to the versions of its tags."""
        return self._hash(key, versions, value) + value

    def verify(self, key: str, versions: Sequence[bytes], signed: bytes) -> bytes | None:
        """The value without its hash, or None when the hash does not fit."""
        value = signed[SIZE:]
        return value if compare_digest(self._hash(key, versions, value), signed[:SIZE]) else None

    def _hash(self, key: str, versions: Sequence[bytes], value: bytes) -> bytes:
        bound = repr((key, *versions)).encode()
        hashed = blake2b(len(bound).to_bytes(4), digest_size=SIZE, key=self._key)
        hashed.update(bound)
        hashed.update(value)
        return hashed.digest()
