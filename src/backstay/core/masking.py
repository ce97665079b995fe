"""Which names tell that their value is a secret."""

SECRETS = ("password", "secret", "token", "authorization", "cookie", "api_key")


def tells_secret(name: str) -> bool:
    """Whether a value of this name must not be written anywhere."""
    return any(secret in name.lower() for secret in SECRETS)
