"""The Mailer port where nobody said how mail is sent: none is lost, each is tried again."""

from backstay.core.mail import Mail, MailNotSent


class NoMailer:
    """Refuses every mail for now."""

    async def send(self, mail: Mail) -> None:
        """Say what is missing."""
        raise MailNotSent("No mail can be sent: set MAIL_HOST, or MAIL_BACKEND.")
