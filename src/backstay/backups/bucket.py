"""Storage that speaks S3, through obstore: streamed in parts, visible once it is whole."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Full, Queue
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from backstay.backups.encryption import MISSING
from backstay.backups.pipes import Sink, Source
from backstay.core.backups import BackupError

if TYPE_CHECKING:
    from backstay.settings import BackupSettings

_PART = 8 << 20
"""Bytes of one part, of which about eight are in memory; S3 takes 10,000, which are 80 GB."""


_MACHINE_OF_AWS = "http://169.254.169.254/"
"""Where a machine of AWS is asked for its credentials if none are given."""
_NO_CREDENTIALS = (
    "There are no credentials for {}: set BACKUP_S3_ACCESS_KEY_ID and BACKUP_S3_SECRET_ACCESS_KEY."
)


def bucket_of(address: str, settings: "BackupSettings") -> "Bucket":
    """The storage at ``s3://bucket/prefix``; what the settings lack, the variables of AWS tell.

    Raises:
        BackupError: the address names no bucket, or obstore is not installed.
    """
    try:
        from obstore.store import S3Store
    except ImportError as error:
        if error.name is None or not error.name.startswith("obstore"):
            raise
        raise BackupError(MISSING.format("Storage at s3://")) from None
    parts = urlsplit(address)
    if not parts.netloc or "@" in parts.netloc or parts.query:
        raise BackupError("Write the storage of backups as s3://bucket/prefix, without keys.")
    secret = settings.s3_secret_access_key
    given = {
        "access_key_id": settings.s3_access_key_id,
        "secret_access_key": secret and secret.get_secret_value(),
        "endpoint": settings.s3_endpoint,
        "region": settings.s3_region,
    }
    config: Any = {name: value for name, value in given.items() if value}
    plain = (settings.s3_endpoint or os.environ.get("AWS_ENDPOINT", "")).startswith("http://")
    store = S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        config=config,
        client_options={"allow_http": True} if plain else None,
    )
    return Bucket(store, f"s3://{parts.netloc}/{parts.path.strip('/')}".rstrip("/"))


class Bucket:
    """A bucket, or a prefix in one. A file that was not written to its end is never seen."""

    def __init__(self, store: Any, address: str) -> None:
        self._store = store
        self.address = address

    @property
    def work_folder(self) -> Path:
        return Path(tempfile.gettempdir())

    def names(self) -> list[str]:
        import obstore

        with self._explained():
            found = obstore.list_with_delimiter(self._store)
        return [each["path"].rpartition("/")[2] for each in found["objects"]]

    @contextmanager
    def writing(self, name: str) -> Iterator[Sink]:
        upload = _Upload(self._store, name)
        with self._explained():
            try:
                yield upload
            except BaseException as error:
                upload.abort(error)
                raise
            upload.close()

    @contextmanager
    def reading(self, name: str) -> Iterator[Source]:
        import obstore

        with self._explained():
            reader: Any = obstore.open_reader(self._store, name, buffer_size=1 << 20)
            try:
                yield reader
            finally:
                reader.close()

    def delete(self, name: str) -> None:
        import obstore

        with self._explained(), suppress(FileNotFoundError):
            obstore.delete(self._store, name)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            raise BackupError(f"{self.address} lacks it, or is no bucket.") from error
        except BaseError as error:
            text = " ".join(str(error).split("\n\nDebug source")[0].split())
            if _MACHINE_OF_AWS in text:
                raise BackupError(_NO_CREDENTIALS.format(self.address)) from error
            raise BackupError(f"The storage {self.address} refuses: {text[:300]}.") from error


class _Upload:
    """Sends what is written in parts, from a thread; aborted, the storage forgets the parts."""

    def __init__(self, store: Any, name: str) -> None:
        self._parts: Queue[bytes | BaseException | None] = Queue(maxsize=1)
        self._buffer = bytearray()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._send, args=(store, name), daemon=True)
        self._thread.start()

    def write(self, data: bytes, /) -> int:
        self._buffer += data
        while len(self._buffer) >= _PART:
            self._put(bytes(self._buffer[:_PART]))
            del self._buffer[:_PART]
        return len(data)

    def close(self) -> None:
        """Send the rest, and wait until the file is whole."""
        self._put(bytes(self._buffer))
        self._put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def abort(self, error: BaseException) -> None:
        """Send nothing more; the parts that were sent are removed."""
        with suppress(Exception):
            self._put(error)
        self._thread.join()

    def _put(self, part: bytes | BaseException | None) -> None:
        while self._thread.is_alive():
            with suppress(Full):
                self._parts.put(part, timeout=0.5)
                return
        raise self._error or BackupError("The upload has ended.")

    def _send(self, store: Any, name: str) -> None:
        import obstore

        put: Callable[..., Any] = obstore.put
        try:
            put(store, name, iter(self._sent()), use_multipart=True, max_concurrency=2,
                chunk_size=_PART)  # fmt: skip
        except BaseException as error:
            self._error = error

    def _sent(self) -> Iterator[bytes]:
        while (part := self._parts.get()) is not None:
            if isinstance(part, BaseException):
                raise part
            yield part
