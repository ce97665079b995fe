"""Shows that a contract notices an adapter that breaks a promise, and a fixture that is missing."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from backstay.caching.memory import MemoryCache
from backstay.core.mail import Mail, MailNotSent
from backstay.core.ports import Load
from backstay.core.rates import Rate
from backstay.limits.memory import MemoryLimiter
from backstay.mailing.tokens import HmacMailTokens
from backstay.security.refresh_tokens import HmacRefreshTokens
from backstay.testing.contracts import (
    BreachedPasswordsContract,
    CacheContract,
    LimiterContract,
    MailerContract,
    MailTemplatesContract,
    MailTokensContract,
    RefreshTokensContract,
)
from backstay.testing.contracts.contract import Contract

pytestmark = pytest.mark.anyio


class Postcards:
    """Sends texts without their HTML, to whatever recipient, and tells what it could not send."""

    def __init__(self, *, is_away: bool = False) -> None:
        self.is_away = is_away
        self.sent: list[Mail] = []

    async def send(self, mail: Mail) -> None:
        if self.is_away:
            raise MailNotSent(f"There is no way to {mail.recipient}.")
        self.sent.append(Mail(mail.recipient, mail.subject, mail.text, mail.text))

    async def delivered(self) -> Sequence[Mail]:
        return self.sent


class Racing(MemoryLimiter):
    """Forgets what others count meanwhile."""

    async def hit(self, key: str, rate: Rate) -> Any:
        before = OrderedDict(self._paid_at)
        await asyncio.sleep(0)
        self._paid_at = before
        return await super().hit(key, rate)


class Forgetful(HmacMailTokens):
    """Reads tokens for every purpose."""

    def read(self, purpose: str, token: str) -> UUID | None:
        return super().read("reset", token)


class Blind(HmacRefreshTokens):
    """Thinks that every token is the current one."""

    def age(self, *_: Any) -> int | None:
        return 0


class Stale(MemoryCache):
    """Keeps what was loaded while its tag was deleted."""

    async def remember(
        self, key: str, load: Load, *, ttl: float, tags: tuple[str, ...] = ()
    ) -> bytes:
        value = await load()
        await self.set(key, value, ttl=ttl, tags=tags)
        return value


class Raw:
    def write(self, template: str, recipient: str, values: Any) -> Mail:
        shown = " ".join(values.values())
        return Mail(recipient, "A subject", shown, f"<p>{shown}</p>")


class Everything:
    async def contains(self, password: str) -> bool:
        return True


def broken_promises() -> dict[str, Callable[[], Awaitable[None]]]:
    mailer, away = Postcards(), Postcards(is_away=True)
    mails, keys = MailerContract(), (HmacMailTokens(b"k" * 32), HmacMailTokens(b"l" * 32))

    async def unescaped() -> None:
        templates = MailTemplatesContract()
        values = {"receipt": {"number": "<7>"}}
        templates.test_values_are_escaped_in_html_and_not_in_text(Raw(), values)

    async def for_every_purpose() -> None:
        tokens = Forgetful(b"k" * 32)
        MailTokensContract().test_a_token_is_bound_to_purpose_link_and_key(tokens, keys[1])

    async def of_no_age() -> None:
        RefreshTokensContract().test_a_forged_token_has_no_age(Blind(b"k" * 32))

    return {
        "html": lambda: mails.test_a_mail_arrives_once_and_unchanged(mailer, mailer.delivered),
        "recipient": lambda: mails.test_a_recipient_is_one_address(mailer, mailer.delivered, "ada"),
        "secret": lambda: mails.test_errors_tell_nothing_of_the_mail(away, away),
        "race": lambda: LimiterContract().test_hits_at_once_are_counted_exactly(Racing()),
        "stale": lambda: (
            CacheContract().test_a_load_outdated_while_running_is_answered_but_not_kept(
                Stale(CollectorRegistry())
            )
        ),
        "found": lambda: (
            BreachedPasswordsContract().test_a_published_password_is_found_and_no_other(
                Everything(), "secret"
            )
        ),
        "unescaped": unescaped,
        "purpose": for_every_purpose,
        "age": of_no_age,
    }


@pytest.mark.parametrize("promise", sorted(broken_promises()))
async def test_a_broken_promise_is_noticed(promise: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await broken_promises()[promise]()


def test_a_missing_fixture_is_named() -> None:
    class TestSesMailer(Contract): ...

    with pytest.raises(pytest.fail.Exception) as failed:
        TestSesMailer().lacks("mailer", "the mailer under test")
    assert str(failed.value) == (
        "TestSesMailer has to define the fixture `mailer`: the mailer under test."
    )
