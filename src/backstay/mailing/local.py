"""Mailers that need no mail server: one keeps mails in a folder, one prints them."""

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path
from typing import TextIO
from uuid import UUID

from backstay.core.clock import new_id
from backstay.core.mail import KeptMail, Mail, MailNotSent
from backstay.core.ports import Clock
from backstay.mailing.message import message_of

KEPT = 200
"""How many mails are kept; the oldest ones beyond that are deleted."""


class FileMailer:
    """Keeps each mail as a file `<id>.eml` that only its owner may read. The ids sort by time."""

    def __init__(self, folder: Path, sender: str, clock: Clock) -> None:
        self._folder = folder
        self._sender = sender
        self._clock = clock

    async def send(self, mail: Mail) -> None:
        content = message_of(mail, self._sender, self._clock()).as_bytes()
        try:
            await asyncio.to_thread(self._write, content)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise MailNotSent(f"MAIL_DIR cannot be written: {reason}.") from error

    async def mails(self) -> Sequence[KeptMail]:
        return await asyncio.to_thread(lambda: tuple(self._read(self._paths())))

    async def mail(self, mail_id: UUID) -> KeptMail | None:
        return await asyncio.to_thread(lambda: next(self._read([self._path(mail_id)]), None))

    def _write(self, content: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(new_id())
        unfinished = path.with_suffix(".part")
        handle = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            unfinished.rename(path)
        finally:
            unfinished.unlink(missing_ok=True)
        for old in self._paths()[KEPT:]:
            old.unlink(missing_ok=True)

    def _path(self, mail_id: UUID) -> Path:
        return self._folder / f"{mail_id}.eml"

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*.eml"), reverse=True)

    def _read(self, paths: Sequence[Path]) -> Iterator[KeptMail]:
        for path in paths:
            try:
                content, mail_id = path.read_bytes(), UUID(path.stem)
            except (OSError, ValueError):
                continue  # removed meanwhile, or not a file of this mailer
            message = message_from_bytes(content, EmailMessage, policy=SMTPUTF8)
            if message["Date"] is not None:
                yield _kept(mail_id, message)


def _kept(mail_id: UUID, message: EmailMessage) -> KeptMail:
    sent_at: datetime = message["Date"].datetime
    parts = {
        part.get_content_subtype(): part.get_content().replace("\r\n", "\n")  # as it was written
        for part in message.iter_parts()
    }
    mail = Mail(
        str(message["To"]), str(message["Subject"]), parts.get("plain", ""), parts.get("html", "")
    )
    return KeptMail(mail_id, sent_at, mail)


class ConsoleMailer:
    """Prints the text of each mail to standard error, or to another stream."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    async def send(self, mail: Mail) -> None:
        rule = "-" * 72
        told = f"{rule}\nTo: {mail.recipient}\nSubject: {mail.subject}\n\n{mail.text}\n{rule}"
        try:
            print(told, file=self._stream or sys.stderr, flush=True)
        except OSError as error:
            raise MailNotSent(f"The mail cannot be printed: {error.strerror}.") from error
