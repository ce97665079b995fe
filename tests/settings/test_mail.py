"""Shows how the mail settings are read, and which combinations are refused."""

import pytest

from tests.settings.reading import Read, faulty


def test_local_keeps_mails_in_a_folder(read: Read) -> None:
    settings = read().settings
    assert settings is not None
    assert (settings.mail.chosen, settings.mail.dir) == ("file", "./.backstay/mail")


def test_elsewhere_a_host_means_smtp(read: Read, production: dict[str, str]) -> None:
    for environ, chosen in (({}, None), ({"MAIL_HOST": "mail.example.com"}, "smtp")):
        settings = read(production | environ).settings
        assert settings is not None
        assert settings.mail.chosen == chosen


def test_smtp_without_a_host_is_refused(read: Read, production: dict[str, str]) -> None:
    for environ in ({}, production):
        assert faulty(read(environ, MAIL_BACKEND="smtp")) == ["MAIL_HOST"]


def test_mails_are_printed_in_local_only(read: Read, production: dict[str, str]) -> None:
    assert faulty(read(MAIL_BACKEND="console")) == []
    assert faulty(read(production, MAIL_BACKEND="console")) == ["MAIL_BACKEND"]


def test_a_password_without_tls_is_an_error_outside_local_only(
    read: Read, production: dict[str, str]
) -> None:
    clear = {"MAIL_HOST": "mail.example.com", "MAIL_TLS": "none", "MAIL_PASSWORD": "hush-hush"}
    loaded = read(clear)
    assert faulty(loaded) == []
    assert ["MAIL_TLS" in warning for warning in loaded.warnings] == [True]
    assert faulty(read(production | clear)) == ["MAIL_TLS"]
    assert "hush-hush" not in str(read(production | clear))


@pytest.mark.parametrize(("tls", "port"), [("none", 25), ("starttls", 587), ("tls", 465)])
def test_the_port_follows_from_tls(read: Read, tls: str, port: int) -> None:
    settings = read(MAIL_TLS=tls).settings
    assert settings is not None
    assert settings.mail.smtp_port == port
    settings = read(MAIL_TLS=tls, MAIL_PORT="2525").settings
    assert settings is not None
    assert settings.mail.smtp_port == 2525


@pytest.mark.parametrize(
    ("environ", "sender"),
    [
        ({}, '"Backstay" <noreply@localhost>'),
        (
            {"APP_PUBLIC_URL": "https://shop.example.com:8443/x"},
            '"Backstay" <noreply@shop.example.com>',
        ),
        ({"APP_NAME": 'A "shop"'}, '"A shop" <noreply@localhost>'),
        ({"MAIL_FROM": "Shop <shop@example.com>"}, "Shop <shop@example.com>"),
        ({"MAIL_FROM": "Shop <shop@münchen.de>"}, "Shop <shop@münchen.de>"),
        ({"MAIL_FROM": "root@localhost"}, "root@localhost"),
    ],
)
def test_every_mail_has_a_sender(read: Read, environ: dict[str, str], sender: str) -> None:
    settings = read(environ).settings
    assert settings is not None
    assert settings.mail.sender_of(settings.app) == sender


@pytest.mark.parametrize(
    "sender",
    [
        *("büro@example.org", "a@münchen..de", "a@-ä.de", "a@☃.de"),
        *("shop", "a@b@c", "Shop <shop>", "a@example.com\r\nBcc: b@example.com", "@", "a b@c.de"),
    ],
)
def test_a_sender_that_is_no_address_is_refused(read: Read, sender: str) -> None:
    assert faulty(read(MAIL_FROM=sender)) == ["MAIL_FROM"]
