"""The Mailer port over SMTP (RFC 5321), one connection per mail."""

import aiosmtplib

from backstay.adapters.mail_message import message_of
from backstay.core.mail import Mail, MailNotSent, MailRefused
from backstay.core.ports import Clock
from backstay.settings import MailSettings

TIMEOUT = 10.0
"""Seconds that the server has for each answer."""


class SmtpMailer:
    """Hands mails over to a server; what it says is never repeated, only its number."""

    def __init__(self, settings: MailSettings, sender: str, clock: Clock) -> None:
        self._settings = settings
        self._sender = sender
        self._clock = clock
        self._place = f"{settings.host}:{settings.smtp_port}"

    async def send(self, mail: Mail) -> None:
        """Hand one mail over, or say why not."""
        message, settings = message_of(mail, self._sender, self._clock()), self._settings
        try:
            await aiosmtplib.send(
                message,
                hostname=settings.host,
                port=settings.smtp_port,
                use_tls=settings.tls == "tls",
                start_tls=settings.tls == "starttls",
                username=settings.username,
                password=settings.password.get_secret_value() if settings.password else None,
                timeout=TIMEOUT,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refusal(max(each.code for each in error.recipients), self._place) from error
        except aiosmtplib.SMTPAuthenticationError as error:
            raise MailNotSent(
                f"The mail server {self._place} refuses MAIL_USERNAME and MAIL_PASSWORD "
                f"({error.code})."
            ) from error
        except aiosmtplib.SMTPResponseException as error:
            raise MailNotSent(
                f"The mail server {self._place} refuses the mail ({error.code}): see that "
                "MAIL_FROM, MAIL_TLS and MAIL_USERNAME are what it expects."
            ) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailNotSent(
                f"The mail server {self._place} does not answer as MAIL_HOST, MAIL_PORT and "
                f"MAIL_TLS expect ({type(error).__name__})."
            ) from error


def _refusal(code: int, place: str) -> MailNotSent | MailRefused:
    told = f"The mail server {place} refuses the recipient ({code})."
    return MailRefused(told) if code >= 500 else MailNotSent(told)
