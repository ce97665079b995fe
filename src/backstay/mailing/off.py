"""The Mailer port where nobody said how mail is sent: each is kept as a job that failed and why."""

from backstay.core.mail import Mail, NoMailServer


class NoMailer:
    """Refuses every mail."""

    async def send(self, mail: Mail) -> None:
        """Say what is missing."""
        raise NoMailServer(
            "No mail server is configured: set MAIL_HOST, or MAIL_BACKEND; then repeat this."
        )
