"""The settings of authentication: keys, lifetimes, limits, and the first administrator."""

from typing import Annotated, ClassVar, Literal
from unicodedata import normalize

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator

from backstay.core.names import EmailAddress
from backstay.core.rates import Rate
from backstay.settings.errors import SettingError
from backstay.settings.fields import (
    MONTH,
    YEAR,
    Name,
    Port,
    Seconds,
    SecretTexts,
    Setting,
    SettingsGroup,
    SomeSeconds,
    StrictRate,
)
from backstay.settings.groups.breaches import breached_passwords

NO_ADMIN = SettingError(
    "is missing, while there is no administrator",
    "Set it to a password of 8 to 128 characters, then run: backstay db upgrade\n"
    "    Without it, run: backstay create-admin",
    "ADMIN_PASSWORD",
)


class SecuritySettings(SettingsGroup, title="Security"):
    """Keys, lifetimes, registration, and the limits of the auth routes.

    A key is taken as it stands, or, behind the prefix `base64:`, as the bytes that follow.
    `HS256` wants a secret of at least 32 bytes, the others a private key in PEM.
    """

    env_prefix: ClassVar = "SECURITY_"

    algorithm: Literal["HS256", "RS256", "Ed25519", "EdDSA"] = Field(
        "HS256",
        description="Algorithm that signs access tokens; no other is accepted. `EdDSA` is the "
        "older name of `Ed25519`, for clients that do not know the new one: the keys are the same, "
        "and tokens under either name are accepted under both.",
    )
    secret_key: Annotated[SecretStr, Setting(also="SECRET_KEY")] = Field(
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
    clock_skew_seconds: Annotated[SomeSeconds, Setting(at_most=600)] = Field(
        30, description="Seconds by which clocks may differ when a token is checked."
    )
    access_token_expire_seconds: Annotated[Seconds, Setting(at_most=MONTH)] = Field(
        900, description="Lifetime of an access token."
    )
    refresh_token_expire_seconds: Annotated[Seconds, Setting(at_most=10 * YEAR)] = Field(
        604800, description="Seconds after which an unused session ends."
    )
    session_lifetime_seconds: Annotated[Seconds, Setting(at_most=10 * YEAR)] = Field(
        2592000, description="Seconds after which every session ends."
    )
    registration: Literal["open", "closed"] = Field(
        "open", description="Whether strangers may create an account."
    )
    breached_passwords_file: Annotated[
        Annotated[str, AfterValidator(breached_passwords)] | None,
        Setting(kind="file or folder", path=True),
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


class AdminSettings(SettingsGroup, title="Administration"):
    """The admin console; and what is created when there is none: an administrator, a first tier."""

    env_prefix: ClassVar = "ADMIN_"

    console: bool = Field(True, description="Serve the admin console at `/admin`.")
    console_port: Port | None = Field(
        None, description="Port that serves the console alone; unset, the console is at the API's."
    )

    name: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        "Administrator", description="Display name."
    )
    email: Annotated[EmailAddress, Setting(kind="e-mail address")] = Field(
        "admin@example.com", description="E-mail address to sign in with."
    )
    username: Annotated[
        str,
        BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
        Field(pattern=r"^[a-z0-9_.-]{3,32}$"),
        Setting(kind="3 to 32 of a-z, 0-9, _ . -"),
    ] = Field("admin", description="User name to sign in with.")
    password: SecretStr | None = Field(
        None,
        description="Password, 8 to 128 characters. In `local` a random one is printed once when "
        "this is not set.",
    )

    tier_name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"),
        Setting(kind="1 to 64 of A-Z, a-z, 0-9, _ . -", also="TIER_NAME"),
    ] = Field("free", description="Tier that every new user receives.")

    @field_validator("password")
    @classmethod
    def _of_decent_length(cls, password: SecretStr | None) -> SecretStr | None:
        if password and not 8 <= len(normalize("NFC", password.get_secret_value())) <= 128:
            raise SettingError("is too short or too long", "Choose one of 8 to 128 characters.")
        return password
