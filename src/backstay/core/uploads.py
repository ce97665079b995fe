"""A file that a client sends with a command, and the pipeline step that receives it."""

import asyncio
import errno
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from backstay.core.background import in_background
from backstay.core.bus import Next
from backstay.core.context import Context
from backstay.core.errors import AppError
from backstay.core.messages import Message

PREFIX = "backstay-upload-"
"""With this the names of temporary files begin."""
BUFFER_BYTES = 262_144
"""How much of a file is gathered before it is written."""
_FULL = {errno.ENOSPC, errno.EDQUOT}


class StorageFull(AppError):
    """The file system of an upload is full (RFC 4918, 11.5)."""

    status, code, title = 507, "storage_full", "There is no room for the upload"


class Upload:
    """A file from a client, in a temporary file while its command runs.

    Attributes:
        name: what the client calls the file; empty if it does not say. It is data, never a path:
            folders and control characters are left out, and it has 255 characters at most.
        media_type: what the client says the content is; one that the route accepts.
        size: bytes.
        sha256: the hash of the content, in hexadecimal digits.
    """

    def __init__(self, receive: Callable[["Upload"], Awaitable[None]]) -> None:
        self._receive = receive
        self._path: Path | None = None
        self._replaced: Path | None = None
        self._inode: int | None = None
        self._is_kept = False
        self.name = ""
        self.media_type = ""
        self.size = 0
        self.sha256 = ""

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> CoreSchema:
        told = core_schema.plain_serializer_function_ser_schema(_told)
        return core_schema.is_instance_schema(cls, serialization=told)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "format": "binary"}

    @property
    def path(self) -> Path:
        """Where the content is, to be read; it may be large.

        Raises:
            LookupError: it is not received yet, or was removed after the command.
        """
        if self._path is None:
            raise LookupError("an upload has a file only while its command runs: keep() it")
        return self._path

    @classmethod
    def of_file(cls, path: Path, *, media_type: str, name: str = "") -> "Upload":
        """An upload with a copy of a file as its content, for tests and for commands from code."""

        async def copy(upload: Upload) -> None:
            await upload.fill(_chunks(path))

        made = cls(copy)
        made.media_type, made.name = media_type, name
        return made

    async def fill(self, content: AsyncIterator[bytes]) -> None:
        """Write the content, as it arrives, to a temporary file in the folder ``TMPDIR``.

        Raises:
            StorageFull: the file system has no room.
        """
        digest, buffer = sha256(), bytearray()
        try:
            path = self._create()
            async for chunk in content:
                buffer += chunk
                if len(buffer) >= BUFFER_BYTES:
                    self.size += await asyncio.to_thread(_append, path, digest, buffer)
                    buffer = bytearray()
            self.size += await asyncio.to_thread(_append, path, digest, buffer)
        except OSError as error:
            raise of_storage(error) from error
        self.sha256 = digest.hexdigest()

    def _create(self) -> Path:
        descriptor, name = tempfile.mkstemp(prefix=PREFIX)
        os.close(descriptor)
        self._path = Path(name)
        return self._path

    async def keep(self, path: Path | str) -> None:
        """Move the file to a path of the application's choice, where it stays; folders that do not
        exist are made.

        It is complete or absent there, also after a crash, and readable by its owner only. A file
        that is there already is replaced. If the command fails later, the file is removed, and what
        it replaced is put back, unless another upload took the place meanwhile. After a crash the
        new file may be there although the command did not succeed.

        Raises:
            StorageFull: the file system has no room.
            OSError: the folder must not be written.
        """
        if self._is_kept:
            raise LookupError("the upload is kept already")
        try:
            await asyncio.to_thread(self._move, Path(path))
        except OSError as error:
            raise of_storage(error) from error

    def _move(self, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        source, self._replaced = self.path, _linked_copy(target)
        if source.stat().st_dev == target.parent.stat().st_dev:
            _replace(source, target)
        else:
            descriptor, copy = tempfile.mkstemp(prefix=f".{PREFIX}", dir=target.parent)
            os.close(descriptor)
            try:
                shutil.copyfile(source, copy)
                _replace(Path(copy), target)
            finally:
                Path(copy).unlink(missing_ok=True)
            source.unlink()
        self._path, self._is_kept = target, True
        self._inode = target.stat().st_ino

    async def end(self, *, failed: bool) -> None:
        """Remove the temporary file; if the command failed, also undo `keep`."""
        await asyncio.to_thread(self._end, failed)

    def _end(self, failed: bool) -> None:
        path, replaced = self._path, self._replaced
        if not self._is_kept:
            self._path = None
        elif failed and path is not None and _inode(path) == self._inode:
            if replaced is not None:
                replaced.replace(path)
                return
        else:
            path = None
        for each in (path, replaced):
            if each is not None:
                each.unlink(missing_ok=True)

    @property
    def is_received(self) -> bool:
        """Whether the file is there."""
        return self._path is not None

    async def receive(self) -> None:
        """Receive the file from the client."""
        await self._receive(self)


def _linked_copy(path: Path) -> Path | None:
    """Another name for a file, beside it; None if there is none, or no second name can be had."""
    copy = path.with_name(f".{PREFIX}{uuid4().hex}")
    try:
        os.link(path, copy)
    except OSError:
        return None
    return copy


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _replace(source: Path, target: Path) -> None:
    """Rename a file once its content is on the disk, then store the name, too."""
    _sync(source)
    source.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _append(path: Path, digest: Any, data: bytearray) -> int:
    """Write all of the data; how many bytes it has.

    It opens the file by itself, and creates none: a thread goes on when the task that waits for it
    is cancelled, and the file may be removed meanwhile.
    """
    digest.update(data)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)
    return len(data)


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, BUFFER_BYTES):
            yield chunk


def of_storage(error: OSError) -> Exception:
    """The error to raise for one of the file system: a full one is an answer of its own."""
    return StorageFull() if error.errno in _FULL else error


def _told(upload: Upload) -> dict[str, Any]:
    """What is written of an upload in place of its content."""
    return {name: getattr(upload, name) for name in ("name", "media_type", "size", "sha256")}


def upload_fields(message: type[Message[Any]]) -> list[str]:
    """The names of the fields that are uploads."""
    fields = message.model_fields.items()
    return [name for name, field in fields if field.annotation is Upload]


def receive(message: type[Message[Any]], call_next: Next) -> Next:
    """The step that receives the upload of a command, once it is authorised.

    Whatever happens then, the file is removed, unless the handler has kept it and the command
    succeeds. A command with an ``Idempotency-Key`` is another one if its content differs.
    """
    fields = upload_fields(message)
    if not fields:
        return call_next

    async def run(context: Context) -> Any:
        upload: Upload = getattr(context.message, fields[0])
        if upload.is_received:  # the command around this one ends it
            return await call_next(context)
        try:
            await upload.receive()
        except BaseException:
            await upload.end(failed=True)
            raise
        key = context.origin.idempotency
        if key is not None:
            content = blake2b(key.fingerprint + upload.sha256.encode(), digest_size=32).digest()
            context.origin = context.origin._replace(idempotency=replace(key, fingerprint=content))
        # the transaction ends even if the sender is cancelled: until then it needs the file
        return await asyncio.shield(in_background(_ending(upload, call_next(context))))

    return run


async def _ending(upload: Upload, work: Awaitable[Any]) -> Any:
    failed = True
    try:
        result = await work
        failed = False
        return result
    finally:
        await upload.end(failed=failed)
