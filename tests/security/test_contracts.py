"""Shows that the adapters of tokens and passwords keep the promises of their ports."""

from hashlib import sha1
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from backstay.core.ports import AccessTokens, BreachedPasswords, RefreshTokens
from backstay.security.access_tokens import Algorithm, JwtAccessTokens
from backstay.security.breached_passwords import BreachedPasswordFiles
from backstay.security.refresh_tokens import HmacRefreshTokens
from backstay.testing import FrozenClock
from backstay.testing.contracts import (
    AccessTokensContract,
    BreachedPasswordsContract,
    RefreshTokensContract,
)

Keys = tuple[Algorithm, bytes, bytes]
"""An algorithm, and two keys for it."""


@pytest.fixture(scope="module", params=["HS256", "RS256", "Ed25519", "EdDSA"])
def keys(request: pytest.FixtureRequest) -> Keys:
    algorithm: Algorithm = request.param
    if algorithm == "HS256":
        return algorithm, b"k" * 32, b"l" * 32
    return algorithm, private_pem(algorithm), private_pem(algorithm)


def private_pem(algorithm: Algorithm) -> bytes:
    is_rsa = algorithm == "RS256"
    key = rsa.generate_private_key(65537, 2048) if is_rsa else Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class TestJwtAccessTokens(AccessTokensContract):
    @pytest.fixture
    def tokens(self, keys: Keys, clock: FrozenClock) -> AccessTokens:
        return jwt_tokens(keys[0], keys[1], clock)

    @pytest.fixture
    def foreign(self, keys: Keys, clock: FrozenClock) -> AccessTokens:
        return jwt_tokens(keys[0], keys[2], clock)


def jwt_tokens(algorithm: Algorithm, key: bytes, clock: FrozenClock) -> AccessTokens:
    return JwtAccessTokens(
        algorithm,
        key,
        issuer="shop",
        audience="shop",
        expire_seconds=900,
        skew_seconds=30,
        time=lambda: clock().timestamp(),
    )


class TestHmacRefreshTokens(RefreshTokensContract):
    @pytest.fixture
    def tokens(self) -> RefreshTokens:
        return HmacRefreshTokens(b"k" * 32)

    @pytest.fixture
    def foreign(self) -> RefreshTokens:
        return HmacRefreshTokens(b"l" * 32)


class TestBreachedPasswordFiles(BreachedPasswordsContract):
    @pytest.fixture
    def known(self) -> str:
        return "lagoon kettle 4711"

    @pytest.fixture(params=["folder", "file"])
    def passwords(
        self, known: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> BreachedPasswords:
        digest, path = sha1(known.encode()).hexdigest().upper(), tmp_path / "pwned"
        if request.param == "folder":
            path.mkdir()
            (path / f"{digest[:5]}.txt").write_text(f"{digest[5:]}:7\n")
        else:
            path.write_text(f"{digest}:7\n")
        return BreachedPasswordFiles(str(path))

    @pytest.fixture
    def unreachable(self, tmp_path: Path) -> BreachedPasswords:
        return BreachedPasswordFiles(str(tmp_path / "away"))
