"""Implements the AccessTokens port with signed JWTs (profile of RFC 9068, practice of RFC 8725)."""

import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Literal
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from backstay.core.clock import new_id
from backstay.core.errors import Unauthenticated
from backstay.core.ports import AccessClaims
from backstay.settings import SecuritySettings, decode_key

TYPE = "at+jwt"
Algorithm = Literal["HS256", "RS256", "Ed25519", "EdDSA"]
Key = OctKey | RSAKey | OKPKey
_ED25519 = ("Ed25519", "EdDSA")


class JwtAccessTokens:
    """Signs with one key, and accepts tokens of this key and of previous ones, under one algorithm.

    If an algorithm has two names, both are accepted, so that the setting can change between them.

    Args:
        key: the signing key: raw bytes for HS256, else a private key as PEM bytes.
        previous: earlier keys that are still accepted, in the same form (or a public key as PEM).
        expire_seconds: how long a token is valid.
        skew_seconds: how far the clocks of two servers may differ.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        key: bytes,
        *,
        previous: tuple[bytes, ...] = (),
        issuer: str,
        audience: str,
        expire_seconds: int,
        skew_seconds: int,
        time: Callable[[], float],
    ) -> None:
        self._algorithm = algorithm
        self._registry = _registry(algorithm)
        self._key = _import(algorithm, key)
        self._keys: dict[str, Key] = {
            str(known.kid): known
            for known in (self._key, *(_import(algorithm, old) for old in previous))
        }
        self._issuer, self._audience = issuer, audience
        self._expire, self._time = expire_seconds, time
        self._header = {"typ": TYPE, "alg": algorithm, "kid": str(self._key.kid)}
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(time()),
            leeway=skew_seconds,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            iat={"essential": True},
            exp={"essential": True},
            jti={"essential": True},
            sid={"essential": True},
        )
        self._skew = skew_seconds

    @classmethod
    def configured(cls, security: SecuritySettings, time: Callable[[], float]) -> "JwtAccessTokens":
        """The adapter that the settings describe."""
        return cls(
            security.algorithm,
            decode_key(security.secret_key.get_secret_value()),
            previous=tuple(decode_key(key.get_secret_value()) for key in security.previous_keys),
            issuer=security.issuer,
            audience=security.audience,
            expire_seconds=security.access_token_expire_seconds,
            skew_seconds=security.clock_skew_seconds,
            time=time,
        )

    def issue(self, user_id: UUID, session_id: UUID) -> str:
        now = int(self._time())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(user_id),
            "iat": now,
            "exp": now + self._expire,
            "jti": str(new_id()),
            "sid": str(session_id),
        }
        return jwt.encode(
            self._header, claims, self._key, registry=self._registry, default_type=None
        )

    def verify(self, token: str) -> AccessClaims:
        """The claims of a valid token.

        Raises:
            Unauthenticated: its signature, algorithm, type, key or a claim is wrong.
        """
        try:
            decoded = jwt.decode(token, self._find, registry=self._registry)
            if decoded.header.get("typ") != TYPE:
                raise Unauthenticated("This is not an access token.")
            self._claims.validate(decoded.claims)
            return AccessClaims(
                UUID(decoded.claims["sub"]),
                UUID(decoded.claims["sid"]),
                int(decoded.claims["exp"]) + self._skew,
            )
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise Unauthenticated("The access token is not valid.") from error

    def public_keys(self) -> dict[str, Any]:
        keys = [key for key in self._keys.values() if not isinstance(key, OctKey)]
        return {
            "keys": [
                {**key.as_dict(private=False), "use": "sig", "alg": self._algorithm} for key in keys
            ]
        }

    def _find(self, token: Any) -> Key:
        key = self._keys.get(str(token.headers().get("kid")))
        if key is None:
            raise ValueError("unknown key")
        return key


def _registry(algorithm: Algorithm) -> JWSRegistry:
    """The algorithms that sign and verify. EdDSA names no curve; here it is Ed25519 (RFC 9864)."""
    accepted = _ED25519 if algorithm in _ED25519 else (algorithm,)
    registry = JWSRegistry(algorithms=accepted)
    registry.algorithms = {**registry.algorithms, "EdDSA": registry.algorithms["Ed25519"]}
    return registry


def _import(algorithm: Algorithm, material: bytes) -> Key:
    if algorithm == "HS256":
        kid = hmac.new(material, b"backstay kid", hashlib.sha256).hexdigest()[:16]
        return OctKey.import_key(material, {"kid": kid})
    kind = RSAKey if algorithm == "RS256" else OKPKey
    key = kind.import_key(material)
    return kind.import_key(material, {"kid": key.thumbprint()})
