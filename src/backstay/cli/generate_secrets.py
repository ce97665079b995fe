"""The command `generate-secrets`: generates the secrets that a server outside `local` needs."""

import base64
from secrets import token_urlsafe
from typing import Annotated, Literal

import typer
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from backstay.settings.age import new_identity


def generate_secrets(
    algorithm: Annotated[
        Literal["HS256", "RS256", "Ed25519", "EdDSA"],
        typer.Option(help="What is to sign access tokens."),
    ] = "HS256",
) -> None:
    """Print new secrets as lines for an .env file; nothing is kept."""
    if algorithm != "HS256":
        typer.echo(f"SECURITY_ALGORITHM={algorithm}")
    key = token_urlsafe(48) if algorithm == "HS256" else _private_key(algorithm)
    typer.echo(f"SECURITY_SECRET_KEY={key}")
    typer.echo(f"SECURITY_REFRESH_TOKEN_SECRET={token_urlsafe(48)}")
    typer.echo(f"BACKUP_KEY={new_identity()}")


def _private_key(algorithm: str) -> str:
    """A private key in PEM, on one line."""
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey = (
        rsa.generate_private_key(65537, 3072)
        if algorithm == "RS256"
        else ed25519.Ed25519PrivateKey.generate()
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return f"base64:{base64.b64encode(pem).decode()}"
