"""The settings of mail: how it is sent, and from whom."""

import re
from email.errors import HeaderParseError
from email.utils import parseaddr
from ipaddress import ip_address
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from backstay.core.mail import ascii_domain
from backstay.settings.errors import SettingError
from backstay.settings.fields import Port, Setting, SettingsGroup
from backstay.settings.groups.app import AppSettings

_PORTS = {"none": 25, "starttls": 587, "tls": 465}


def _sender(value: str) -> str:
    from email.headerregistry import Address  # noqa: PLC0415  most projects name no sender

    name, address = parseaddr(value)
    try:
        Address(name, addr_spec=address)
        ascii_domain(address.rpartition("@")[2])
        sound = re.fullmatch(r"[^@\s]+@[^@\s]+", address) and value.isprintable()
    except (ValueError, IndexError, HeaderParseError):
        sound = False
    if not sound:
        raise SettingError(
            "is not an e-mail address",
            "Write shop@example.com, or with a name: Shop <shop@example.com>.",
        )
    return value


class MailSettings(SettingsGroup, title="Mail"):
    """How mail leaves. Jobs send it, so that a mail server that is down delays it only."""

    env_prefix: ClassVar = "MAIL_"

    backend: Annotated[Literal["console", "file", "smtp"] | None, Setting(in_local="file")] = Field(
        None,
        description="`smtp` sends, `file` keeps mails in `MAIL_DIR`, `console` prints them and is "
        "refused outside `local`, as their links would stand in the log. Not set, it is `smtp` "
        "where `MAIL_HOST` is set; else no mail leaves, and the jobs that send it fail with "
        "`mail.no_server`.",
    )
    host: str | None = Field(None, description="Mail server.")
    port: Port | None = Field(
        None, description="Its port; else 587 for `starttls`, 465 for `tls`, 25 for `none`."
    )
    username: str | None = Field(None, description="User to sign in to the mail server as.")
    password: SecretStr | None = Field(None, description="That user's password.")
    tls: Literal["none", "starttls", "tls"] = Field(
        "starttls", description="`starttls` after a greeting in clear, `tls` from the start."
    )
    from_: Annotated[
        Annotated[str, AfterValidator(_sender)] | None,
        Setting(kind="e-mail address, with a name or without"),
    ] = Field(
        None,
        description="Whom mails are from; else `noreply` at the host of `APP_PUBLIC_URL`, named "
        "as `APP_NAME`.",
    )
    notices: Annotated[bool, Setting(in_local=False)] = Field(
        True,
        description="Mail the owner of an account when its password is replaced, when somebody "
        "signs in from a device not seen before, and when a refresh token was copied.",
    )
    dir: Annotated[str, Setting(kind="folder", path=True)] = Field(
        "./.backstay/mail", description="Folder of the backend `file`; it keeps the latest 200."
    )
    templates_dir: Annotated[str | None, Setting(kind="folder", path=True)] = Field(
        None, description="Folder of your own templates; those that it lacks are the built-in ones."
    )

    @property
    def chosen(self) -> str | None:
        """The backend that is set, or else the one that follows from other settings."""
        return self.backend or ("smtp" if self.host else None)

    @property
    def smtp_port(self) -> int:
        """The port that is set, or else the usual one."""
        return self.port or _PORTS[self.tls]

    def sender_of(self, app: AppSettings) -> str:
        """The sender that is set, or else one that is made of other settings."""
        if self.from_:
            return self.from_
        name = re.sub(r'["\\\x00-\x1f]', "", app.name)
        return f'"{name}" <noreply@{_domain(urlsplit(app.public_url).hostname or "")}>'


def _domain(host: str) -> str:
    try:
        ip_address(host)
    except ValueError:
        return host
    return "localhost"
