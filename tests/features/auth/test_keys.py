"""Shows tokens of each algorithm, the published keys, and the rotation of keys."""

import base64
import warnings
from collections.abc import Callable
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import KeySet

from backstay.settings import Settings
from backstay.testing import PASSWORD, FrozenClock, settings_with
from tests.features.auth.forging import signed, taken_apart, unsigned
from tests.features.steps import JWKS, is_signed_in, refresh, register, running, sign_in

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

Configure = Callable[..., Settings]
PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@pytest.fixture
def configure(seeded_url: str, tmp_path: Path) -> Configure:
    """Settings of an application on one database."""
    return lambda **variables: settings_with(seeded_url, tmp_path, **variables)


@pytest.fixture(scope="module")
def keys() -> dict[str, list[PrivateKey]]:
    """Two private keys for each algorithm."""
    made: list[PrivateKey] = [ed25519.Ed25519PrivateKey.generate() for _ in range(2)]
    return {
        "RS256": [rsa.generate_private_key(65537, 2048) for _ in range(2)],
        "Ed25519": made,
        "EdDSA": made,
    }


def private_pem(key: PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: PrivateKey) -> str:
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


async def tokens_of(client: httpx.AsyncClient, email: str = "ada@example.org") -> dict[str, Any]:
    await register(client, email)
    answer = await sign_in(client, email)
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


@pytest.mark.parametrize("algorithm", ["RS256", "Ed25519", "EdDSA"])
async def test_anybody_can_check_a_token_with_the_published_keys(
    algorithm: str, keys: dict[str, list[PrivateKey]], configure: Configure, clock: FrozenClock
) -> None:
    settings = configure(
        SECURITY_ALGORITHM=algorithm, SECURITY_SECRET_KEY=private_pem(keys[algorithm][0])
    )
    async with running(settings, clock) as client:
        token = (await tokens_of(client))["access_token"]
        published = (await client.get(JWKS)).json()
        assert await is_signed_in(client, token)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # of EdDSA, which older clients know only
        decoded = jwt.decode(token, KeySet.import_key_set(published), [algorithm])
    assert decoded.header == {
        "typ": "at+jwt",
        "alg": algorithm,
        "kid": published["keys"][0]["kid"],
    }
    (key,) = published["keys"]
    assert (key["alg"], key["use"]) == (algorithm, "sig")
    assert (key["kty"], key.get("crv")) == (
        ("RSA", None) if algorithm == "RS256" else ("OKP", "Ed25519")
    )
    assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key)


async def test_a_shared_secret_is_not_published(configure: Configure, clock: FrozenClock) -> None:
    async with running(configure(), clock) as client:
        assert (await client.get(JWKS)).json() == {"keys": []}


async def test_a_secret_is_taken_as_text_or_as_base64(
    configure: Configure, clock: FrozenClock
) -> None:
    text = token_urlsafe(48)
    coded = "base64:" + base64.b64encode(text.encode()).decode()
    async with running(configure(SECURITY_SECRET_KEY=text), clock) as client:
        tokens = await tokens_of(client)
    async with running(configure(SECURITY_SECRET_KEY=coded), clock) as client:
        assert await is_signed_in(client, tokens["access_token"])


@pytest.mark.parametrize("algorithm", ["RS256", "Ed25519", "EdDSA"])
async def test_the_public_key_is_no_shared_secret(
    algorithm: str, keys: dict[str, list[PrivateKey]], configure: Configure, clock: FrozenClock
) -> None:
    key = keys[algorithm][0]
    settings = configure(SECURITY_ALGORITHM=algorithm, SECURITY_SECRET_KEY=private_pem(key))
    async with running(settings, clock) as client:
        header, claims = taken_apart((await tokens_of(client))["access_token"])
        for material in (public_pem(key), public_pem(key).strip()):
            for name in ("HS256", "HS512"):
                forged = signed({**header, "alg": name}, claims, material.encode())
                assert not await is_signed_in(client, forged)


async def test_a_token_of_another_algorithm_is_refused(
    keys: dict[str, list[PrivateKey]], configure: Configure, clock: FrozenClock
) -> None:
    asymmetric = configure(
        SECURITY_ALGORITHM="RS256", SECURITY_SECRET_KEY=private_pem(keys["RS256"][0])
    )
    symmetric = configure(SECURITY_SECRET_KEY=token_urlsafe(48))
    async with running(asymmetric, clock) as signer, running(symmetric, clock) as other:
        tokens = await tokens_of(signer)
        assert not await is_signed_in(other, tokens["access_token"])
        refreshed = await refresh(other, tokens["refresh_token"])
        assert await is_signed_in(other, refreshed.json()["access_token"])


@pytest.mark.parametrize(("before", "after"), [("Ed25519", "EdDSA"), ("EdDSA", "Ed25519")])
async def test_changing_between_ed25519_and_eddsa_signs_nobody_out(
    before: str,
    after: str,
    keys: dict[str, list[PrivateKey]],
    configure: Configure,
    clock: FrozenClock,
) -> None:
    """Ed25519 is the name of RFC 9864; EdDSA the older one, which many clients know only."""
    key = {"SECURITY_SECRET_KEY": private_pem(keys[before][0])}
    async with running(configure(**key, SECURITY_ALGORITHM=before), clock) as client:
        old = (await tokens_of(client))["access_token"]
    async with running(configure(**key, SECURITY_ALGORITHM=after), clock) as client:
        new = (await sign_in(client, "ada@example.org")).json()["access_token"]
        (published,) = (await client.get(JWKS)).json()["keys"]
        assert [taken_apart(token)[0]["alg"] for token in (old, new)] == [before, after]
        assert {taken_apart(token)[0]["kid"] for token in (old, new)} == {published["kid"]}
        assert published["alg"] == after
        assert await is_signed_in(client, old)
        assert await is_signed_in(client, new)


@pytest.mark.parametrize("algorithm", ["Ed25519", "EdDSA"])
async def test_ed25519_and_eddsa_accept_no_other_algorithm(
    algorithm: str, keys: dict[str, list[PrivateKey]], configure: Configure, clock: FrozenClock
) -> None:
    settings = configure(
        SECURITY_ALGORITHM=algorithm, SECURITY_SECRET_KEY=private_pem(keys[algorithm][0])
    )
    async with running(settings, clock) as client:
        token = (await tokens_of(client))["access_token"]
        header, claims = taken_apart(token)
        signature = token.rpartition(".")[2]
        for name in ("none", "ed25519", "EDDSA", "Ed448", "ES256", "RS256", "HS256", "", None):
            assert not await is_signed_in(client, unsigned({**header, "alg": name}, claims))
            forged = unsigned({**header, "alg": name}, claims, signature)
            assert not await is_signed_in(client, forged)
        stranger = ed25519.Ed25519PrivateKey.generate()
        for name in ("Ed25519", "EdDSA"):
            text = unsigned({**header, "alg": name}, claims).rpartition(".")[0]
            for key, is_ours in ((stranger, False), (keys[algorithm][0], True)):
                assert isinstance(key, ed25519.Ed25519PrivateKey)
                made = base64.urlsafe_b64encode(key.sign(text.encode())).rstrip(b"=").decode()
                assert await is_signed_in(client, f"{text}.{made}") is is_ours


@pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
async def test_under_another_algorithm_neither_name_is_accepted(
    algorithm: str, keys: dict[str, list[PrivateKey]], configure: Configure, clock: FrozenClock
) -> None:
    key = keys["EdDSA"][0]
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    secret = token_urlsafe(48) if algorithm == "HS256" else private_pem(keys["RS256"][0])
    settings = configure(SECURITY_ALGORITHM=algorithm, SECURITY_SECRET_KEY=secret)
    async with running(settings, clock) as client:
        header, claims = taken_apart((await tokens_of(client))["access_token"])
        for name in ("Ed25519", "EdDSA"):
            text = unsigned({**header, "alg": name}, claims).rpartition(".")[0]
            made = base64.urlsafe_b64encode(key.sign(text.encode())).rstrip(b"=").decode()
            assert not await is_signed_in(client, f"{text}.{made}")


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "Ed25519", "EdDSA"])
async def test_keys_are_exchanged_without_signing_anybody_out(
    algorithm: str, keys: dict[str, list[PrivateKey]], configure: Configure, clock: FrozenClock
) -> None:
    if algorithm == "HS256":
        old, new = token_urlsafe(48), token_urlsafe(48)
        retired = [old]
    else:
        old, new = (private_pem(key) for key in keys[algorithm])
        retired = [old, public_pem(keys[algorithm][0])]
    of = {"SECURITY_ALGORITHM": algorithm}
    async with running(configure(**of, SECURITY_SECRET_KEY=old), clock) as client:
        tokens = await tokens_of(client)
    for previous in retired:
        settings = configure(**of, SECURITY_SECRET_KEY=new, SECURITY_PREVIOUS_KEYS=f"{previous}")
        async with running(settings, clock) as client:
            assert await is_signed_in(client, tokens["access_token"])
            fresh = (await sign_in(client, "ada@example.org")).json()["access_token"]
            kids = {taken_apart(token)[0]["kid"] for token in (fresh, tokens["access_token"])}
            assert len(kids) == 2
            published = (await client.get(JWKS)).json()["keys"]
            assert {key["kid"] for key in published} == (set() if algorithm == "HS256" else kids)
            assert all("d" not in key for key in published)
    async with running(configure(**of, SECURITY_SECRET_KEY=new), clock) as client:
        assert not await is_signed_in(client, tokens["access_token"])
        assert await is_signed_in(client, fresh)
        assert (await refresh(client, tokens["refresh_token"])).status_code == 200


async def test_issuer_and_audience_keep_applications_apart(
    configure: Configure, clock: FrozenClock
) -> None:
    secret = {"SECURITY_SECRET_KEY": token_urlsafe(48)}
    async with running(configure(**secret, SECURITY_ISSUER="shop"), clock) as client:
        tokens = await tokens_of(client)
        claims = taken_apart(tokens["access_token"])[1]
        assert (claims["iss"], claims["aud"]) == ("shop", "backstay")
    for other in ({"SECURITY_ISSUER": "bank"}, {"SECURITY_AUDIENCE": "shop"}, {}):
        async with running(configure(**secret, **other), clock) as client:
            assert not await is_signed_in(client, tokens["access_token"])


async def test_another_refresh_secret_means_no_refresh_token(
    configure: Configure, clock: FrozenClock
) -> None:
    async with running(configure(), clock) as client:
        token = (await tokens_of(client))["refresh_token"]
    another = configure(SECURITY_REFRESH_TOKEN_SECRET=token_urlsafe(48))
    async with running(another, clock) as client:
        assert (await refresh(client, token)).status_code == 401
        assert (await sign_in(client, "ada@example.org", password=PASSWORD)).status_code == 200
    async with running(configure(), clock) as client:
        assert (await refresh(client, token)).status_code == 200
