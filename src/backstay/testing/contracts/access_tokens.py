"""The contract of the AccessTokens port."""

import pytest

from backstay.core.clock import new_id
from backstay.core.errors import Unauthenticated
from backstay.core.ports import AccessTokens
from backstay.testing.clock import FrozenClock
from backstay.testing.contracts.contract import GARBAGE, PassTime, TimedContract, altered

PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
"""The members of a private or symmetric key (RFC 7518, 6)."""


class AccessTokensContract(TimedContract):
    """The promises of `AccessTokens`.

    Fixtures to define: `tokens`; `foreign`, the same with another key; and `pass_time`, if the
    adapter does not read the kit's `clock`.
    """

    @pytest.fixture
    def tokens(self) -> AccessTokens:
        """The adapter under test."""
        self.lacks("tokens", "the adapter under test")

    @pytest.fixture
    def foreign(self) -> AccessTokens:
        """The same adapter with another key."""
        self.lacks("foreign", "the same adapter with another key")

    def test_a_token_names_its_user_and_session(self, tokens: AccessTokens) -> None:
        for _ in range(20):
            user_id, session_id = new_id(), new_id()
            claims = tokens.verify(tokens.issue(user_id, session_id))
            assert (claims.user_id, claims.session_id) == (user_id, session_id)

    async def test_a_token_is_valid_until_it_expires(
        self, tokens: AccessTokens, pass_time: PassTime, clock: FrozenClock
    ) -> None:
        token = tokens.issue(new_id(), new_id())
        expires_at = tokens.verify(token).expires_at
        left = expires_at - clock().timestamp()
        assert left > 0
        await pass_time(left - 1.5)
        assert tokens.verify(token).expires_at == expires_at
        await pass_time(3)
        with pytest.raises(Unauthenticated):
            tokens.verify(token)

    def test_a_token_of_another_key_is_not_valid(
        self, tokens: AccessTokens, foreign: AccessTokens
    ) -> None:
        with pytest.raises(Unauthenticated):
            tokens.verify(foreign.issue(new_id(), new_id()))

    def test_every_part_of_a_token_is_protected(self, tokens: AccessTokens) -> None:
        for text in altered(tokens.issue(new_id(), new_id())):
            with pytest.raises(Unauthenticated):
                tokens.verify(text)

    @pytest.mark.parametrize("text", GARBAGE, ids=range(len(GARBAGE)))
    def test_garbage_is_no_token(self, tokens: AccessTokens, text: str) -> None:
        with pytest.raises(Unauthenticated):
            tokens.verify(text)

    def test_a_token_can_be_sent_in_a_header(self, tokens: AccessTokens) -> None:
        token = tokens.issue(new_id(), new_id())
        assert token.isascii()
        assert not set(token) & set(" ,\r\n\t\x00")

    def test_published_keys_are_public(self, tokens: AccessTokens) -> None:
        keys = tokens.public_keys()["keys"]
        assert [key for key in keys if key["kty"] == "oct" or PRIVATE & key.keys()] == []
