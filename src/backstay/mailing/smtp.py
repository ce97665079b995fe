"""Implements the Mailer port over SMTP (RFC 5321), with one connection per mail."""

from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage

import aiosmtplib

from backstay.core.mail import Mail, MailNotSent, MailRefused
from backstay.core.ports import Clock
from backstay.mailing.message import message_of
from backstay.settings import MailSettings

TIMEOUT = 10.0
"""Seconds that the server has for each reply."""
_SIGN_IN = frozenset({530, 534, 535, 538})
"""Reply codes of a server that requires another authentication (RFC 4954, 6), for any mail."""


class SmtpMailer:
    """Sends mails through a server. Errors have the code of its reply, but never the text.

    If the server refuses a mail permanently (5xx), it is not sent again, unless the reply is about
    how the application authenticates.
    """

    def __init__(self, settings: MailSettings, sender: str, clock: Clock) -> None:
        self._settings = settings
        self._sender = sender
        self._clock = clock
        self._place = f"The mail server {settings.host}:{settings.smtp_port}"

    async def send(self, mail: Mail) -> None:
        message = message_of(mail, self._sender, self._clock())
        with self._explained():
            async with self._connection() as server:
                await self._hand_over(message, server)

    async def greet(self) -> None:
        """Connect as for a mail, sign in if that is configured, and leave without sending any.

        Raises:
            MailNotSent: the server cannot be reached, or refuses something of this.
        """
        with self._explained():
            async with self._connection() as server:
                await server.noop()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except aiosmtplib.SMTPAuthenticationError as error:
            raise MailNotSent(
                f"{self._place} refuses MAIL_USERNAME and MAIL_PASSWORD ({error.code})."
            ) from error
        except aiosmtplib.SMTPResponseException as error:
            raise self._not_as_expected(error.code) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailNotSent(
                f"{self._place} does not answer as MAIL_HOST, MAIL_PORT and MAIL_TLS expect "
                f"({type(error).__name__})."
            ) from error

    def _connection(self) -> aiosmtplib.SMTP:
        settings = self._settings
        return aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.smtp_port,
            use_tls=settings.tls == "tls",
            start_tls=settings.tls == "starttls",
            username=settings.username,
            password=settings.password.get_secret_value() if settings.password else None,
            timeout=TIMEOUT,
        )

    async def _hand_over(self, message: EmailMessage, server: aiosmtplib.SMTP) -> None:
        try:
            await server.send_message(message)
        except aiosmtplib.SMTPNotSupported as error:
            raise MailRefused(
                f"{self._place} cannot write the recipient: it does not offer SMTPUTF8."
            ) from error
        except aiosmtplib.SMTPRecipientsRefused as error:
            code = max(each.code for each in error.recipients)
            raise self._refusal("the recipient", code) from error
        except aiosmtplib.SMTPSenderRefused as error:
            raise self._refusal("MAIL_FROM", error.code) from error
        except aiosmtplib.SMTPDataError as error:
            raise self._refusal("the mail", error.code) from error

    def _refusal(self, what: str, code: int) -> MailNotSent | MailRefused:
        if code in _SIGN_IN:
            return self._not_as_expected(code)
        told = f"{self._place} refuses {what} ({code})."
        return MailRefused(told) if code >= 500 else MailNotSent(told)

    def _not_as_expected(self, code: int) -> MailNotSent:
        return MailNotSent(
            f"{self._place} refuses the mail ({code}): see that MAIL_FROM, MAIL_TLS and "
            "MAIL_USERNAME are what it expects."
        )
