"""Where backups are kept: a folder, or storage that speaks S3 (in `bucket`)."""

import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from errno import EINVAL
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol
from urllib.parse import urlsplit

from backstay.backups.pipes import Sink, Source
from backstay.core.backups import BackupError

if TYPE_CHECKING:
    from backstay.settings import BackupSettings

MANIFEST = ".json"
_NAME = re.compile(r"[a-z][a-z0-9_]*-([0-9]{8}T[0-9]{6}Z)-[0-9a-f]{8}")
MOMENT = "%Y%m%dT%H%M%SZ"
_PARTIAL, _WORK = ".partial", ".backstay-work-"


def is_name(text: str) -> bool:
    """Whether a text is the name of a backup: an application, a moment and a random number."""
    match = _NAME.fullmatch(text)
    try:
        return match is not None and bool(datetime.strptime(match[1], MOMENT))
    except ValueError:
        return False


class Storage(Protocol):
    """Keeps files under names, each whole or not at all; the files of others are never touched."""

    @property
    def address(self) -> str:
        """Where it is, without credentials."""
        ...

    @property
    def work_folder(self) -> Path:
        """A folder with room for a copy of the database."""
        ...

    def names(self) -> list[str]:
        """The names of all whole files."""
        ...

    def writing(self, name: str) -> AbstractContextManager[Sink]:
        """Write a file, which has its name once the context ends without an error."""
        ...

    def reading(self, name: str) -> AbstractContextManager[Source]:
        """Read a file.

        Raises:
            BackupError: there is none, or it cannot be read.
        """
        ...

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        ...


class Folder:
    """A folder of one's own: 0700, with files of 0600."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def address(self) -> str:
        return str(self._path)

    @property
    def work_folder(self) -> Path:
        self._make()
        return self._path

    def names(self) -> list[str]:
        try:
            return [each.name for each in self._path.iterdir() if not each.name.startswith(".")]
        except FileNotFoundError:
            return []

    @contextmanager
    def writing(self, name: str) -> Iterator[Sink]:
        self._make()
        self._remove_left()
        partial = self._path / f".{name}{_PARTIAL}"
        try:
            with _created(partial) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path / name)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise
        _sync(self._path)

    @contextmanager
    def reading(self, name: str) -> Iterator[Source]:
        try:
            file = _opened(self._path / name)
        except OSError as error:
            raise BackupError(f"{self._path / name} cannot be read: {error.strerror}.") from error
        with file:
            yield file

    def delete(self, name: str) -> None:
        (self._path / name).unlink(missing_ok=True)

    def _make(self) -> None:
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _remove_left(self) -> None:
        """Remove what processes left that were killed while they wrote; its lock is free."""
        for each in self._path.glob(f".*{_PARTIAL}"):
            if is_name(each.name[1:].partition(".")[0]):
                with suppress(OSError), _opened(each) as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    each.unlink()


def storage_of(settings: "BackupSettings", address: str | None = None) -> Storage:
    """The storage of an address, by default that of the settings.

    Raises:
        BackupError: the address is none, or the extra is missing that it needs.
    """
    address = settings.dir if address is None else address
    if not address.strip():
        raise BackupError("An empty text is no storage of backups: name a folder, or s3://bucket.")
    scheme = urlsplit(address).scheme if "://" in address else ""
    if scheme == "s3":
        from backstay.backups.bucket import bucket_of

        return bucket_of(address, settings)
    if scheme not in {"", "file"}:
        raise BackupError(
            f"{scheme}:// is no storage of backups: name a folder, or s3://bucket/prefix."
        )
    return Folder(Path(address.removeprefix("file://")).absolute())


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A folder of one's own for copies, removed afterwards, as are those of killed processes.

    Its lock tells others that a process uses it (flock(2)).
    """
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=_WORK, dir=parent) as name,
        (Path(name) / "lock").open("wb") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        for each in parent.glob(f"{_WORK}*"):
            if str(each) != name:
                _remove_unless_used(each)
        yield Path(name)


def _remove_unless_used(folder: Path) -> None:
    with suppress(OSError), _opened(folder / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)


def _opened(file: Path) -> BinaryIO:
    """A file to read. What others put in its place, such as a named pipe, is refused at once.

    Raises:
        OSError: it cannot be opened, or is no file.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise OSError(EINVAL, "It is no file", str(file))


def _created(file: Path) -> BinaryIO:
    """A new file of one's own, locked, so that nobody takes it for one that was left."""
    while True:
        file.unlink(missing_ok=True)
        created = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        with suppress(OSError):  # where there are no locks, nobody else gets one, either
            fcntl.flock(created, fcntl.LOCK_EX)
        if os.fstat(created.fileno()).st_nlink:
            return created
        created.close()  # it was taken for one before it was locked


def _sync(folder: Path) -> None:
    """Let the new name of a file survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
