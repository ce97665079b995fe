"""The contract of the RefreshTokens port."""

from dataclasses import replace

import pytest

from backstay.core.clock import new_id
from backstay.core.ports import RefreshToken, RefreshTokens
from backstay.testing.contracts.contract import GARBAGE, Contract, altered


class RefreshTokensContract(Contract):
    """The promises of `RefreshTokens`.

    Fixtures to define: `tokens`, and `foreign`, the same adapter with another key.
    """

    @pytest.fixture
    def tokens(self) -> RefreshTokens:
        """The adapter under test."""
        self.lacks("tokens", "the adapter under test")

    @pytest.fixture
    def foreign(self) -> RefreshTokens:
        """The same adapter with another key."""
        self.lacks("foreign", "the same adapter with another key")

    def test_the_first_token_of_a_session_is_random(self, tokens: RefreshTokens) -> None:
        session_id = new_id()
        made = [tokens.first(session_id) for _ in range(20)]
        assert {(each.session_id, each.generation) for each in made} == {(session_id, 0)}
        assert {len(each.secret) for each in made} == {32}
        assert len({each.secret for each in made}) == 20

    def test_a_token_has_one_successor_that_needs_the_key(
        self, tokens: RefreshTokens, foreign: RefreshTokens
    ) -> None:
        token = tokens.first(new_id())
        successor = tokens.successor(token)
        assert successor == tokens.successor(token)
        assert (successor.session_id, successor.generation) == (token.session_id, 1)
        assert len(successor.secret) == 32
        assert len({token.secret, successor.secret, foreign.successor(token).secret}) == 3

    def test_a_token_is_read_as_it_was_written(self, tokens: RefreshTokens) -> None:
        token = tokens.first(new_id())
        for _ in range(5):
            assert tokens.read(tokens.write(token)) == token
            token = tokens.successor(token)

    def test_a_text_of_another_key_is_no_token(
        self, tokens: RefreshTokens, foreign: RefreshTokens
    ) -> None:
        assert tokens.read(foreign.write(foreign.first(new_id()))) is None

    def test_every_part_of_a_text_is_protected(self, tokens: RefreshTokens) -> None:
        text = tokens.write(tokens.first(new_id()))
        assert {tokens.read(each) for each in altered(text)} == {None}

    @pytest.mark.parametrize("text", GARBAGE, ids=range(len(GARBAGE)))
    def test_garbage_is_no_token(self, tokens: RefreshTokens, text: str) -> None:
        assert tokens.read(text) is None

    def test_a_text_fits_into_a_cookie(self, tokens: RefreshTokens) -> None:
        text = tokens.write(tokens.first(new_id()))
        assert text.isascii()
        assert not set(text) & set(' ",;\\\r\n\t')

    def test_hashes_depend_on_the_token_and_the_key(
        self, tokens: RefreshTokens, foreign: RefreshTokens
    ) -> None:
        token = tokens.first(new_id())
        hashed = tokens.hash(token)
        assert len(hashed) == 32
        assert hashed == tokens.hash(token)
        others = (tokens.first(token.session_id), replace(token, session_id=new_id()))
        known = {hashed, foreign.hash(token), tokens.hash(tokens.successor(token))}
        assert len(known | set(map(tokens.hash, others))) == 5
        assert token.secret not in hashed

    def test_the_age_of_a_token_counts_rotations(self, tokens: RefreshTokens) -> None:
        chain = [tokens.first(new_id())]
        for _ in range(5):
            chain.append(tokens.successor(chain[-1]))
        live = tokens.hash(chain[-1])
        assert [tokens.age(each, 5, live) for each in chain] == [5, 4, 3, 2, 1, 0]
        assert tokens.age(tokens.successor(chain[-1]), 5, live) is None

    def test_a_forged_token_has_no_age(self, tokens: RefreshTokens) -> None:
        token = tokens.first(new_id())
        live = tokens.hash(token)
        forged = RefreshToken(token.session_id, 0, bytes(32))
        assert tokens.age(forged, 0, live) is None
        assert tokens.age(replace(token, session_id=new_id()), 0, live) is None

    def test_texts_of_clients_are_hashed_with_the_key(
        self, tokens: RefreshTokens, foreign: RefreshTokens
    ) -> None:
        owner = new_id()
        hashed = tokens.keyed_hash("device", owner, "a browser")
        assert len(hashed) == 32
        assert hashed == tokens.keyed_hash("device", owner, "a browser")
        others = {
            tokens.keyed_hash("network", owner, "a browser"),
            tokens.keyed_hash("device", new_id(), "a browser"),
            tokens.keyed_hash("device", owner, "another"),
            foreign.keyed_hash("device", owner, "a browser"),
        }
        assert len(others | {hashed}) == 5
