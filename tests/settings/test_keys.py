"""Shows keys: how they are written, which fit, which are too weak, and where these are refused."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from backstay.settings import decode_key
from tests.examples import examples
from tests.settings.reading import Read, faulty

SECRET = "SECURITY_SECRET_KEY"
REFRESH = "SECURITY_REFRESH_TOKEN_SECRET"
PREVIOUS = "SECURITY_PREVIOUS_KEYS"
PUBLIC = "SECURITY_PUBLIC_KEY"
STRONG = "q9Wm3Xr7Tz1Lk5Vb8Np2Hs6Yd4Gf0JcAeUiOtRwEy"


def private_pem(
    key: RSAPrivateKey | Ed25519PrivateKey, lock: KeySerializationEncryption | None = None
) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock or NoEncryption()).decode()


def public_pem(key: RSAPrivateKey | Ed25519PrivateKey) -> str:
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


RSA = generate_private_key(65537, 2048)
SMALL_RSA = generate_private_key(65537, 1024)
ED = Ed25519PrivateKey.generate()
KEYS: dict[str, RSAPrivateKey | Ed25519PrivateKey] = {"RS256": RSA, "Ed25519": ED, "EdDSA": ED}


class TestDecoding:
    @pytest.mark.parametrize("text", ["base64:!", "base64:a", "base64:a=b", "base64:é"])
    def test_broken_base64_is_refused_without_repeating_it(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not valid base64") as caught:
            decode_key(text)
        assert caught.value.__cause__ is None
        assert text not in str(caught.value)

    @examples()
    @given(st.binary())
    def test_any_bytes_survive_either_alphabet(self, key: bytes) -> None:
        assert decode_key(f"base64:{base64.b64encode(key).decode()}") == key
        assert decode_key(f"base64:{base64.encodebytes(key).decode()}") == key
        assert decode_key(f"base64:{base64.urlsafe_b64encode(key).decode().rstrip('=')}") == key

    def test_anything_else_is_taken_as_it_stands(self) -> None:
        assert decode_key("kéy") == "kéy".encode()
        assert decode_key(base64.b64encode(b"key").decode()) == b"a2V5"
        assert decode_key(r"a\nb") == rb"a\nb"

    def test_a_pem_on_one_line_gets_its_line_ends_back(self) -> None:
        pem = private_pem(ED)
        assert decode_key(pem.replace("\n", r"\n")) == pem.encode()


class TestStrength:
    @pytest.mark.parametrize("variable", [SECRET, REFRESH, PREVIOUS])
    @pytest.mark.parametrize(
        "value",
        [
            "?",
            "changethis",
            "secret",
            "devsecret",
            "a" * 64,
            "abcabcab" * 8,
            STRONG[:31],
            "your-secret-key-here-at-least-32-characters-long",
            "CHANGE_ME_please_this_is_not_safe_in_production",
            "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
            "a-string-secret-at-least-256-bits-long",
            "base64:" + base64.b64encode(b"too short, though base64").decode(),
            "base64:" + base64.b64encode(b"a" * 40).decode(),
        ],
    )
    def test_a_weak_secret_is_an_error_outside_local_only(
        self, read: Read, production: dict[str, str], variable: str, value: str
    ) -> None:
        loaded = read(production | {variable: value})
        assert faulty(loaded) == [variable]
        assert value not in f"{loaded.errors}".replace("generate-secrets", "")
        loaded = read({variable: value})
        assert loaded.errors == ()
        assert len(loaded.warnings) == 1
        assert loaded.warnings[0].startswith(variable)
        assert f" {value} " not in loaded.warnings[0]

    @pytest.mark.parametrize(
        "value",
        [
            STRONG,
            STRONG[:32],
            "é" * 8 + STRONG[:16],
            "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0",
            "base64:" + base64.b64encode(bytes(range(32))).decode(),
        ],
    )
    def test_a_strong_secret_is_taken(
        self, read: Read, production: dict[str, str], value: str
    ) -> None:
        loaded = read(production | {SECRET: value, PREVIOUS: value})
        assert loaded.errors == ()
        assert loaded.warnings == ()

    @pytest.mark.parametrize("variable", [SECRET, REFRESH])
    def test_a_missing_secret_is_refused_outside_local(
        self, read: Read, production: dict[str, str], variable: str
    ) -> None:
        del production[variable]
        loaded = read(production)
        assert faulty(loaded) == [variable]
        assert loaded.errors[0].wrong == "is missing"
        assert "backstay generate-secrets" in loaded.errors[0].hint

    def test_the_two_secrets_differ(self, read: Read, production: dict[str, str]) -> None:
        encoded = "base64:" + base64.b64encode(STRONG.encode()).decode()
        assert faulty(read(production | {SECRET: STRONG, REFRESH: encoded})) == [REFRESH]
        loaded = read({SECRET: STRONG, REFRESH: STRONG})
        assert loaded.errors == ()
        assert "is the same as SECURITY_SECRET_KEY" in loaded.warnings[0]

    def test_a_small_rsa_key_is_refused_outside_local(
        self, read: Read, production: dict[str, str]
    ) -> None:
        environ = {"SECURITY_ALGORITHM": "RS256", SECRET: private_pem(SMALL_RSA)}
        assert faulty(read(production | environ)) == [SECRET]
        assert read(environ).errors == ()


class TestFit:
    @pytest.mark.parametrize("variable", [SECRET, REFRESH, PREVIOUS])
    @pytest.mark.parametrize("value", ["base64:!!", private_pem(ED), public_pem(RSA)])
    def test_hs256_wants_bytes_and_no_pem_in_local_too(
        self, read: Read, variable: str, value: str
    ) -> None:
        assert faulty(read({variable: value})) == [variable]

    @pytest.mark.parametrize("algorithm", ["RS256", "Ed25519", "EdDSA"])
    def test_a_missing_private_key_fault_shows_how_to_make_one(
        self, read: Read, algorithm: str
    ) -> None:
        loaded = read(SECURITY_ALGORITHM=algorithm)
        assert faulty(loaded) == [SECRET]
        assert f"generate-secrets --algorithm {algorithm}" in loaded.errors[0].hint

    @pytest.mark.parametrize("algorithm", ["RS256", "Ed25519", "EdDSA"])
    def test_only_a_private_key_of_the_algorithm_is_accepted(
        self, read: Read, algorithm: str
    ) -> None:
        key, other = KEYS[algorithm], ED if algorithm == "RS256" else RSA
        locked = private_pem(key, BestAvailableEncryption(b"password"))
        for value in (STRONG, public_pem(key), private_pem(other), locked, "base64:!!"):
            loaded = read({"SECURITY_ALGORITHM": algorithm, SECRET: value})
            assert faulty(loaded) == [SECRET]
            assert value not in str(loaded)

    @pytest.mark.parametrize("algorithm", ["RS256", "Ed25519", "EdDSA"])
    def test_a_private_key_is_pem_or_pem_in_base64(
        self, read: Read, production: dict[str, str], algorithm: str
    ) -> None:
        pem = private_pem(KEYS[algorithm])
        encoded = "base64:" + base64.b64encode(pem.encode()).decode()
        for value in (pem, pem.replace("\n", r"\n"), encoded):
            loaded = read(production | {"SECURITY_ALGORITHM": algorithm, SECRET: value})
            assert loaded.errors == ()
            assert loaded.warnings == ()

    @pytest.mark.parametrize("algorithm", ["RS256", "Ed25519", "EdDSA"])
    def test_the_refresh_secret_stays_symmetric(self, read: Read, algorithm: str) -> None:
        pem = private_pem(KEYS[algorithm])
        loaded = read({"SECURITY_ALGORITHM": algorithm, SECRET: pem, REFRESH: pem})
        assert faulty(loaded) == [REFRESH]

    def test_a_public_key_belongs_to_the_private_key(self, read: Read) -> None:
        environ = {"SECURITY_ALGORITHM": "Ed25519", SECRET: private_pem(ED)}
        assert read(environ | {PUBLIC: public_pem(ED)}).errors == ()
        stranger = public_pem(Ed25519PrivateKey.generate())
        for value in (stranger, public_pem(RSA), private_pem(ED), "nonsense", "base64:!!"):
            loaded = read(environ | {PUBLIC: value})
            assert faulty(loaded) == [PUBLIC]
            assert value not in str(loaded)

    def test_a_public_key_is_not_checked_against_a_faulty_key(self, read: Read) -> None:
        environ = {"SECURITY_ALGORITHM": "Ed25519", SECRET: "nonsense", PUBLIC: public_pem(ED)}
        assert faulty(read(environ)) == [SECRET]

    def test_hs256_has_no_use_for_a_public_key(self, read: Read) -> None:
        assert read({PUBLIC: "anything"}).errors == ()

    def test_previous_keys_are_private_or_public_of_the_same_type(self, read: Read) -> None:
        environ = {"SECURITY_ALGORITHM": "Ed25519", SECRET: private_pem(ED)}
        older = Ed25519PrivateKey.generate()
        assert read(environ | {PREVIOUS: f"{private_pem(older)},{public_pem(older)}"}).errors == ()
        loaded = read(environ | {PREVIOUS: f"{public_pem(older)},{public_pem(RSA)},{STRONG}"})
        assert faulty(loaded) == [PREVIOUS, PREVIOUS]
        assert "number 2" in loaded.errors[0].wrong
        assert "number 3" in loaded.errors[1].wrong


def test_keys_in_brackets_may_hold_commas(read: Read) -> None:
    settings = read({PREVIOUS: f'["{STRONG},{STRONG}"]'}).settings
    assert settings is not None
    keys = [key.get_secret_value() for key in settings.security.previous_keys]
    assert keys == [f"{STRONG},{STRONG}"]


@pytest.mark.parametrize("variable", [SECRET, REFRESH, PREVIOUS, "ADMIN_PASSWORD", "DB_URL"])
def test_text_that_is_not_utf8_is_refused_without_repeating_it(read: Read, variable: str) -> None:
    loaded = read({variable: "hidden\udcffhidden"})
    assert faulty(loaded) == [variable]
    assert "hidden" not in ascii(loaded)


def test_half_a_character_in_json_is_a_fault(read: Read) -> None:
    loaded = read({PREVIOUS: r'["\ud800"]'})
    assert faulty(loaded) == [PREVIOUS]
    assert "is not UTF-8 text" in loaded.errors[0].wrong
