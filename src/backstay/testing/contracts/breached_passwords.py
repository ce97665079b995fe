"""The contract of the BreachedPasswords port."""

import asyncio

import pytest

from backstay.core.errors import Unavailable
from backstay.core.ports import BreachedPasswords
from backstay.testing.contracts.contract import Contract

UNKNOWN = "nobody ever had this one: 5c1a7f"


class BreachedPasswordsContract(Contract):
    """The promises of `BreachedPasswords`.

    Fixtures to define: `passwords`; `known`, a password that it knows; and `unreachable`, an
    adapter whose source cannot be read.
    """

    @pytest.fixture
    def passwords(self) -> BreachedPasswords:
        """The adapter under test."""
        self.lacks("passwords", "the adapter under test")

    @pytest.fixture
    def known(self) -> str:
        """A password that became public."""
        self.lacks("known", "a password that the adapter knows")

    @pytest.fixture
    def unreachable(self) -> BreachedPasswords:
        """An adapter whose source cannot be read."""
        self.lacks("unreachable", "an adapter whose source cannot be read")

    async def test_a_published_password_is_found_and_no_other(
        self, passwords: BreachedPasswords, known: str
    ) -> None:
        assert await passwords.contains(known)
        for other in (UNKNOWN, f"{known}.", f" {known}", known[:-1] + "\x00"):
            assert not await passwords.contains(other)

    async def test_any_text_can_be_looked_up(self, passwords: BreachedPasswords) -> None:
        for text in ("é世界 5c1a7f", UNKNOWN * 30, "5c1a7f\n\x00"):
            assert not await passwords.contains(text)

    async def test_passwords_are_looked_up_at_once(
        self, passwords: BreachedPasswords, known: str
    ) -> None:
        asked = [known, UNKNOWN] * 10
        found = await asyncio.gather(*map(passwords.contains, asked))
        assert found == [True, False] * 10

    async def test_a_failed_look_up_is_an_error_without_the_password(
        self, unreachable: BreachedPasswords, known: str
    ) -> None:
        with pytest.raises(Unavailable) as failed:
            await unreachable.contains(known)
        assert known not in failed.value.detail
