"""The Mailer port on a terminal: mails are printed, links included, for a developer to read."""

import sys
from typing import TextIO

from backstay.core.mail import Mail, MailNotSent


class ConsoleMailer:
    """Prints the text of each mail."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    async def send(self, mail: Mail) -> None:
        """Print one mail."""
        rule = "-" * 72
        told = f"{rule}\nTo: {mail.recipient}\nSubject: {mail.subject}\n\n{mail.text}\n{rule}"
        try:
            print(told, file=self._stream or sys.stderr, flush=True)
        except OSError as error:
            raise MailNotSent(f"The mail cannot be printed: {error.strerror}.") from error
