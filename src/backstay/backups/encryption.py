"""Encryption in the format of age (age-encryption.org/v1), with the key of ``BACKUP_KEY``."""

import hashlib
import hmac
from importlib import import_module
from typing import Any

from backstay.backups.pipes import Reading, Sink, Source, copy
from backstay.core.backups import BackupError

MISSING = (
    "{} needs the extra `backups` of Backstay, which is not installed: "
    "pip install 'backstay[backups]'"
)


class Key:
    """The identity of age whose recipient backups are encrypted to; it also seals manifests."""

    def __init__(self, identity: str) -> None:
        try:
            pyrage: Any = import_module("pyrage")
        except ImportError as error:
            if error.name is None or not error.name.startswith("pyrage"):
                raise
            raise BackupError(MISSING.format("BACKUP_KEY")) from None
        self._age = pyrage
        try:
            self._identity: Any = pyrage.x25519.Identity.from_str(identity.strip())
        except pyrage.IdentityError:
            raise BackupError("BACKUP_KEY is no key of age.") from None
        self._recipient: Any = self._identity.to_public()
        self._secret = hashlib.sha256(b"backstay manifest\0" + identity.strip().encode()).digest()

    @property
    def recipient(self) -> str:
        """The public key, ``age1…``."""
        return str(self._recipient)

    def seal(self, content: bytes) -> str:
        """An authentication code: who lacks the key cannot make a manifest that has it."""
        return hmac.new(self._secret, content, hashlib.sha256).hexdigest()

    def encrypt(self, source: Reading, sink: Sink) -> None:
        """Encrypt everything that a source has."""
        kept = _Kept(source)
        try:
            self._age.encrypt_io(kept, sink, [self._recipient])
        except (self._age.EncryptError, OSError) as error:
            raise kept.error or BackupError(f"It cannot be encrypted: {error}.") from error

    def decrypt(self, source: Source, sink: Sink) -> None:
        """Decrypt everything that a source has.

        Raises:
            BackupError: it was encrypted with another key, or is damaged.
        """
        kept = _Kept(source)
        try:
            self._age.decrypt_io(kept, sink, [self._identity])
        except (self._age.DecryptError, OSError) as error:
            if "No matching keys" in str(error):
                raise BackupError(
                    "It was encrypted with another key than BACKUP_KEY: give the one with which it "
                    "was made."
                ) from None
            raise kept.error or BackupError(f"It cannot be decrypted: {error}.") from error


class _Kept:
    """Remembers the error of a source, of which age passes on the text alone."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.error: Exception | None = None

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._source.read(size)
        except Exception as error:
            self.error = error
            raise


def encrypted(source: Reading, sink: Sink, key: Key | None) -> None:
    """Copy a source to a sink, encrypted if there is a key."""
    if key is None:
        copy(source, sink)
    else:
        key.encrypt(source, sink)
