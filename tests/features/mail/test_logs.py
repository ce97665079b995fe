"""Shows that the tokens of mailed links are in no file but the mails."""

import signal
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from backstay.testing import PASSWORD, Templates
from backstay.testing.waiting import until
from tests.cli.process import serving
from tests.features.mail.post import TOKEN
from tests.features.steps import API, AUTH, OTHER_PASSWORD

BOX = Path(".backstay/mail")


def links(folder: Path) -> Iterator[tuple[str, str]]:
    """The page and token of each link that was mailed."""
    for path in (folder / BOX).glob("*.eml"):
        mail = message_from_bytes(path.read_bytes(), EmailMessage, policy=SMTPUTF8)
        body = mail.get_body(("plain",))
        assert body is not None
        for word in str(body.get_content()).split():
            if TOKEN.search(word):
                url = urlsplit(word)
                yield url.path, parse_qs(url.query)["token"][0]


def mailed(folder: Path, page: str) -> str:
    """The token of the one link to a page, once it is mailed."""
    found = until(lambda: dict(links(folder)).get(page), lambda: page)
    assert found is not None
    return found


def use(client: httpx.Client, token: str, page: str, route: str, passwords: tuple[str, ...]) -> int:
    """Use a link in every way, wrong ways first; the status of the last request."""
    client.get(page, params={"token": token})
    client.get(f"{API}/users/me", headers={"Authorization": f"Bearer {token}"})
    client.post(f"{AUTH}/{route}?token={token}", json={"token": token})
    client.post(f"{AUTH}/{route}", content=f'{{"token": "{token}"')
    for password in passwords:
        body = {"token": token} | ({"new_password": password} if password else {})
        client.post(page, data={**body, "new_password": "short"} if password else {"token": "x"})
        status = client.post(f"{AUTH}/{route}", json=body).status_code
    client.post(page, data=body)
    return status


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_token_is_in_its_mail_only(tmp_path: Path, templates: Templates, form: str) -> None:
    templates.copy("sqlite", tmp_path, name="backstay.db")
    ann = {"email": "ann@example.org", "password": PASSWORD}
    with serving(tmp_path, LOG_FORMAT=form, LOG_LEVEL="DEBUG") as server:
        assert server.client.post(f"{API}/users", json=ann).status_code == 201
        verification = mailed(tmp_path, "/verify-email")
        assert use(server.client, verification, "/verify-email", "email/verify", ("",)) == 204
        forgot = server.client.post(f"{AUTH}/password/forgot", json={"email": ann["email"]})
        assert forgot.status_code == 202
        reset = mailed(tmp_path, "/reset-password")
        wanted = ("password123", OTHER_PASSWORD)
        assert use(server.client, reset, "/reset-password", "password/reset", wanted) == 204
        body = {"token": reset, "new_password": OTHER_PASSWORD}
        assert server.client.post(f"{AUTH}/password/reset", json=body).status_code == 400
        assert server.stop(signal.SIGTERM) == 0
    holding: dict[str, set[Path]] = {token: set() for token in (verification, reset)}
    for path in filter(Path.is_file, tmp_path.rglob("*")):
        for token, files in holding.items():
            if token[22:].encode() in path.read_bytes().replace(b"=\r\n", b""):
                files.add(path.relative_to(tmp_path).parent)
    assert list(holding.values()) == [{BOX}, {BOX}]
    assert "request" in (tmp_path / "logs" / "server.log").read_text("utf-8")
