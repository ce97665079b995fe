"""The contract of the Mailer port."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from backstay.core.mail import Mail, Mailer, MailNotSent, MailRefused
from backstay.jobs.timing import is_final
from backstay.testing.contracts.contract import Contract

Delivered = Callable[[], Awaitable[Sequence[Mail]]]
"""Returns the mails that have been handed over, in any order."""

MAIL = Mail(
    "ada@example.org", "Grüße, 世界", "Größe: 1 < 2\n.\nThe end\n", "<p>Größe: 1 &lt; 2</p>\n"
)


class MailerContract(Contract):
    """The promises of a `Mailer`.

    Fixtures to define: `mailer`; `delivered`, which reads back what the mailer has handed over,
    for example from a fake of the service; and `unreachable`, a mailer whose service does not
    answer.
    """

    @pytest.fixture
    def mailer(self) -> Mailer:
        """The mailer under test."""
        self.lacks("mailer", "the mailer under test")

    @pytest.fixture
    def delivered(self, mailer: Mailer) -> Delivered:
        """What the mailer has handed over."""
        what = "an async function that returns the mails which the mailer has handed over"
        self.lacks("delivered", what)

    @pytest.fixture
    def unreachable(self) -> Mailer:
        """A mailer whose service does not answer."""
        self.lacks("unreachable", "a mailer whose service does not answer")

    async def test_a_mail_arrives_once_and_unchanged(
        self, mailer: Mailer, delivered: Delivered
    ) -> None:
        await mailer.send(MAIL)
        assert [_compared(mail) for mail in await delivered()] == [_compared(MAIL)]

    async def test_mails_that_are_sent_at_once_all_arrive(
        self, mailer: Mailer, delivered: Delivered
    ) -> None:
        subjects = [f"Number {number}" for number in range(10)]
        mails = [Mail(f"ada{n}@example.org", each, each, each) for n, each in enumerate(subjects)]
        await asyncio.gather(*(mailer.send(mail) for mail in mails))
        assert sorted(_compared(each) for each in await delivered()) == [
            _compared(mail) for mail in mails
        ]

    @pytest.mark.parametrize(
        "recipient",
        [
            "ada@example.org\r\nBcc: eve@example.org",
            "ada@example.org\nBcc: eve@example.org",
            "ada@example.org, eve@example.org",
            "ada@example.org>\r\n\r\nHello",
            "Ada <ada@example.org>",
            "ada",
            "@",
            "",
        ],
    )
    async def test_a_recipient_is_one_address(
        self, mailer: Mailer, delivered: Delivered, recipient: str
    ) -> None:
        with pytest.raises(MailRefused) as refused:
            await mailer.send(Mail(recipient, "A subject", "", ""))
        assert is_final(refused.value)
        assert list(await delivered()) == []

    @pytest.mark.parametrize("subject", ["A\r\nBcc: eve@example.org", "A\nB", "A\rB"])
    async def test_a_subject_is_one_line(
        self, mailer: Mailer, delivered: Delivered, subject: str
    ) -> None:
        with pytest.raises(MailRefused) as refused:
            await mailer.send(Mail("ada@example.org", subject, "", ""))
        assert is_final(refused.value)
        assert list(await delivered()) == []

    async def test_a_body_cannot_add_recipients(self, mailer: Mailer, delivered: Delivered) -> None:
        text = "\r\n.\r\nRCPT TO:<eve@example.org>\r\n\r\nBcc: eve@example.org\n"
        await mailer.send(Mail("ada@example.org", "A subject", text, text))
        assert [mail.recipient for mail in await delivered()] == ["ada@example.org"]

    async def test_a_mail_can_be_retried_while_the_service_is_away(
        self, unreachable: Mailer
    ) -> None:
        with pytest.raises(MailNotSent) as failed:
            await unreachable.send(MAIL)
        assert not is_final(failed.value)

    async def test_errors_tell_nothing_of_the_mail(
        self, mailer: Mailer, unreachable: Mailer
    ) -> None:
        wrong = Mail("ada@example.org, eve@example.org", "Secret subject", "Secret text", "")
        for sender, mail in ((mailer, wrong), (unreachable, MAIL)):
            with pytest.raises((MailNotSent, MailRefused)) as failed:
                await sender.send(mail)
            told = f"{failed.value.detail}"
            assert not [part for part in (mail.recipient, mail.subject, mail.text) if part in told]

    async def test_a_failed_mail_does_not_affect_the_next(
        self, mailer: Mailer, delivered: Delivered
    ) -> None:
        with pytest.raises(MailRefused):
            await mailer.send(Mail("ada", "A subject", "", ""))
        await mailer.send(MAIL)
        assert [mail.recipient for mail in await delivered()] == ["ada@example.org"]


def _compared(mail: Mail) -> tuple[Any, ...]:
    """A mail without its line ends, which a service may write differently."""
    text, html = ("\n".join(part.strip().splitlines()) for part in (mail.text, mail.html))
    return mail.recipient, mail.subject, text, html
