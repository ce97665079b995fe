"""Forges access tokens, with the application's own key or with another."""

import base64
import hmac
import json
from typing import Any

from backstay.composition import Backstay
from backstay.settings import decode_key

_HMACS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


def taken_apart(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims of a token, unverified."""
    header, claims, _ = token.split(".")
    return json.loads(_decode(header)), json.loads(_decode(claims))


class Forger:
    """Re-signs an issued HS256 token after changes; None removes a header or a claim."""

    def __init__(self, backstay: Backstay, token: str) -> None:
        self.key = decode_key(backstay.settings.security.secret_key.get_secret_value())
        self.header, self.claims = taken_apart(token)

    def __call__(
        self, *, header: dict[str, Any] | None = None, key: bytes | None = None, **claims: Any
    ) -> str:
        """A token that is signed correctly for its own header."""
        return signed(
            _changed(self.header, header or {}), _changed(self.claims, claims), key or self.key
        )


def signed(header: dict[str, Any], claims: dict[str, Any], key: bytes) -> str:
    """A token with an HMAC signature, made by hand: libraries refuse to make an invalid one."""
    algorithm = _HMACS.get(str(header.get("alg")), "sha256")
    signature = hmac.digest(key, unsigned(header, claims).rpartition(".")[0].encode(), algorithm)
    return unsigned(header, claims, _encode(signature))


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: str = "") -> str:
    """A token with an arbitrary header and signature."""
    parts = [_encode(json.dumps(part).encode()) for part in (header, claims)]
    return ".".join([*parts, signature])


def _changed(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (values | changes).items() if value is not None}


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
