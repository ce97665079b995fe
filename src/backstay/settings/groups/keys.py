"""Checks keys: their bytes, their strength, and whether they fit the algorithm."""

import base64
import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

PrivateKey = RSAPrivateKey | Ed25519PrivateKey
PublicKey = RSAPublicKey | Ed25519PublicKey

_BASE64 = "base64:"
_PEM = "-----BEGIN "
_FEWEST_BYTES = 32
_FEWEST_DIFFERENT_BYTES = 8
_FEWEST_RSA_BITS = 2048
_WELL_KNOWN = (
    "changethis",
    "changeme",
    "changeit",
    "replaceme",
    "replacethis",
    "placeholder",
    "yoursecret",
    "yoursupersecret",
    "devsecret",
    "supersecret",
    "secretsecret",
    "mysecret",
    "secretkey",
    "insecure",
    "stringsecretatleast",
    "notsosecret",
    "password",
    "123456789",
    "abcdefghij",
    "qwertyuiop",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
)
_WELL_KNOWN_ALONE = ("secret", "test", "dev", "development", "key", "jwt", "admin")


def decode_key(value: str) -> bytes:
    """Return the bytes of a key: its UTF-8 text, or the decoded Base64 after `base64:` (RFC 4648).

    In a PEM on one line, each `\\n` becomes a line end. Raises ValueError.
    """
    if not value.startswith(_BASE64):
        text = value.replace("\\n", "\n") if value.startswith(_PEM) else value
        try:
            return text.encode()
        except UnicodeEncodeError:
            raise ValueError("is not UTF-8 text") from None
    text = "".join(value.removeprefix(_BASE64).split()).rstrip("=")
    padding = "=" * (-len(text) % 4)
    try:
        return base64.b64decode(text.translate(str.maketrans("-_", "+/")) + padding, validate=True)
    except ValueError:
        raise ValueError("is not valid base64 behind its prefix base64:") from None


def private_key(value: str, algorithm: str) -> PrivateKey:
    """Read a private key in PEM; raises ValueError if it is none, or not one for `algorithm`."""
    pem = decode_key(value)
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("is not an unencrypted private key in PEM") from None
    if isinstance(key, RSAPrivateKey if algorithm == "RS256" else Ed25519PrivateKey):
        return key
    raise ValueError(f"is a private key of another type than {algorithm} needs")


def public_key(value: str, algorithm: str) -> PublicKey:
    """Read a public key in PEM; raises ValueError if it is none, or not one for `algorithm`."""
    pem = decode_key(value)
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("is not a public key in PEM") from None
    if isinstance(key, RSAPublicKey if algorithm == "RS256" else Ed25519PublicKey):
        return key
    raise ValueError(f"is a public key of another type than {algorithm} needs")


def verifying_key(value: str, algorithm: str) -> PublicKey:
    """Read the public key from either a private or a public key; raises ValueError."""
    if b"PRIVATE KEY" in decode_key(value):
        return private_key(value, algorithm).public_key()
    return public_key(value, algorithm)


def key_error(value: str, algorithm: str, *, signs: bool) -> str | None:
    """Return why a key cannot sign tokens with an algorithm (or verify them); None if it can."""
    try:
        if algorithm != "HS256":
            (private_key if signs else verifying_key)(value, algorithm)
        elif decode_key(value).lstrip().startswith(_PEM.encode()):
            return "is in PEM, which is no secret for HS256"
    except ValueError as error:
        return str(error)
    return None


def weakness(value: str, algorithm: str) -> str | None:
    """Return why a fitting key can be guessed or broken, or None if no reason is known."""
    if algorithm == "HS256":
        return _guessable(decode_key(value))
    key = verifying_key(value, algorithm)
    if isinstance(key, RSAPublicKey) and key.key_size < _FEWEST_RSA_BITS:
        return f"is an RSA key of less than {_FEWEST_RSA_BITS} bits"
    return None


def _guessable(key: bytes) -> str | None:
    letters = re.sub(r"[^a-z0-9]", "", key.decode("latin-1").lower())
    if letters in _WELL_KNOWN_ALONE or any(word in letters for word in _WELL_KNOWN):
        return "is well known or a placeholder"
    if len(key) < _FEWEST_BYTES:
        return f"is shorter than {_FEWEST_BYTES} bytes"
    if len(set(key)) < _FEWEST_DIFFERENT_BYTES:
        return "repeats a few characters"
    return None
