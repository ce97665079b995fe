"""The settings that decide who is let in, for how long, and how often they may try."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from backstay.core.rates import Rate
from backstay.settings.breaches import breached_passwords
from backstay.settings.group import Also, AtMost, Group, Kind
from backstay.settings.values import (
    MONTH,
    YEAR,
    Name,
    Seconds,
    SecretTexts,
    SomeSeconds,
    StrictRate,
)


class SecuritySettings(Group):
    """Keys, lifetimes, registration, and the limits of the auth routes.

    A key is taken as it stands, or, behind the prefix `base64:`, as the bytes that follow.
    `HS256` wants a secret of at least 32 bytes, the others a private key in PEM.
    """

    model_config = SettingsConfigDict(title="Security", env_prefix="SECURITY_")

    algorithm: Literal["HS256", "RS256", "Ed25519", "EdDSA"] = Field(
        "HS256",
        description="Algorithm that signs access tokens; no other is accepted. `EdDSA` is the "
        "older name of `Ed25519`, for clients that do not know the new one: the keys are the same, "
        "and tokens under either name are accepted under both.",
    )
    secret_key: Annotated[SecretStr, Also("SECRET_KEY")] = Field(
        SecretStr(""),
        description="Key that signs access tokens. For `HS256` it is created once in `local`; "
        "otherwise it must be set.",
    )
    public_key: SecretStr | None = Field(
        None, description="Public key in PEM for `RS256`, `Ed25519` and `EdDSA`; else worked out."
    )
    previous_keys: SecretTexts = Field(
        (), description="Retired keys whose tokens are still accepted, while keys are rotated."
    )
    refresh_token_secret: SecretStr = Field(
        SecretStr(""),
        description="Key over stored refresh tokens, at least 32 bytes, another than "
        "`SECURITY_SECRET_KEY`. Created once in `local`; elsewhere it must be set.",
    )
    issuer: Name = Field("backstay", description="`iss` of access tokens.")
    audience: Name = Field("backstay", description="`aud` of access tokens.")
    clock_skew_seconds: Annotated[SomeSeconds, AtMost(600)] = Field(
        30, description="Seconds by which clocks may differ when a token is checked."
    )
    access_token_expire_seconds: Annotated[Seconds, AtMost(MONTH)] = Field(
        900, description="Lifetime of an access token."
    )
    refresh_token_expire_seconds: Annotated[Seconds, AtMost(10 * YEAR)] = Field(
        604800, description="Seconds after which an unused session ends."
    )
    session_lifetime_seconds: Annotated[Seconds, AtMost(10 * YEAR)] = Field(
        2592000, description="Seconds after which every session ends."
    )
    registration: Literal["open", "closed"] = Field(
        "open", description="Whether strangers may create an account."
    )
    breached_passwords_file: Annotated[
        str | None,
        AfterValidator(lambda value: value and breached_passwords(value)),
        Kind("file or folder"),
    ] = Field(
        None,
        description="Copy of Pwned Passwords (SHA-1) in which new passwords are looked up: the "
        "folder of range files that its downloader writes, or one file ordered by hash.",
    )
    require_verified_email: bool = Field(
        False, description="Let users sign in only once their e-mail address is confirmed."
    )
    login_rate_limit: StrictRate = Field(Rate(5, 60), description="Logins per address.")
    refresh_rate_limit: StrictRate = Field(Rate(10, 60), description="Refreshes per address.")
    logout_rate_limit: StrictRate = Field(Rate(10, 60), description="Logouts per address.")
    register_rate_limit: StrictRate = Field(Rate(10, 60), description="Registrations per address.")
    forgot_rate_limit: StrictRate = Field(
        Rate(3, 60), description="Mails for a new password asked for, per address."
    )
    reset_rate_limit: StrictRate = Field(Rate(10, 60), description="Passwords reset per address.")
    verify_rate_limit: StrictRate = Field(
        Rate(10, 60), description="E-mail addresses confirmed, and mails for it, per address."
    )
