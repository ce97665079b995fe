"""The contract of the MailTokens port."""

import re

import pytest

from backstay.core.clock import new_id
from backstay.core.mail import MailTokens
from backstay.testing.contracts.contract import GARBAGE, Contract, altered


class MailTokensContract(Contract):
    """The promises of `MailTokens`.

    Fixtures to define: `tokens`, and `foreign`, the same adapter with another key.
    """

    @pytest.fixture
    def tokens(self) -> MailTokens:
        """The adapter under test."""
        self.lacks("tokens", "the adapter under test")

    @pytest.fixture
    def foreign(self) -> MailTokens:
        """The same adapter with another key."""
        self.lacks("foreign", "the same adapter with another key")

    def test_a_token_is_bound_to_purpose_link_and_key(
        self, tokens: MailTokens, foreign: MailTokens
    ) -> None:
        link_id, other = new_id(), new_id()
        token = tokens.write("reset", link_id)
        assert tokens.read("reset", token) == link_id
        assert tokens.read("verify", token) is None
        assert foreign.read("reset", token) is None
        assert tokens.read("reset", tokens.write("reset", other)) == other

    def test_a_token_is_derived_again_in_a_retry(self, tokens: MailTokens) -> None:
        link_id = new_id()
        assert tokens.write("reset", link_id) == tokens.write("reset", link_id)

    def test_a_token_fits_into_a_link(self, tokens: MailTokens) -> None:
        assert all(re.fullmatch(r"[\w-]+", tokens.write("reset", new_id())) for _ in range(50))

    def test_a_changed_token_is_forged(self, tokens: MailTokens) -> None:
        token = tokens.write("reset", new_id())
        assert {tokens.read("reset", text) for text in altered(token)} == {None}

    @pytest.mark.parametrize("text", GARBAGE, ids=range(len(GARBAGE)))
    def test_garbage_is_no_token(self, tokens: MailTokens, text: str) -> None:
        assert tokens.read("reset", text) is None

    def test_a_mailbox_has_one_pseudonym_that_tells_nothing(
        self, tokens: MailTokens, foreign: MailTokens
    ) -> None:
        name = tokens.pseudonym("ada@example.org")
        assert "@" not in name
        same = ("Ada@EXAMPLE.org", "ada+x@example.org", "ada+@example.org")
        assert {tokens.pseudonym(each) for each in same} == {name}
        others = ("bob@example.org", "ada@example.com", "+ada@example.org", "+bob@example.org")
        assert len({name, *map(tokens.pseudonym, others)}) == 5
        assert foreign.pseudonym("ada@example.org") != name

    def test_an_exact_pseudonym_regards_what_follows_a_plus(self, tokens: MailTokens) -> None:
        exact = tokens.pseudonym("ada+x@example.org", exact=True)
        assert exact != tokens.pseudonym("ada@example.org", exact=True)
        assert exact == tokens.pseudonym("ADA+X@example.org", exact=True)
