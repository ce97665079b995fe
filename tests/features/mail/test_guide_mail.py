"""The guide to mail works as it is written."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.application import Application
from backstay.composition import Backstay
from backstay.features.users.commands.accounts import RegisterUser
from backstay.settings import Settings, load_settings
from backstay.testing import PASSWORD
from tests.features.mail.post import Post
from tests.guides import followed, message_of, page

pytestmark = pytest.mark.anyio

PAGE = page("mail")


def block(language: str) -> str:
    """The one block of the page in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


class TestYourOwnMails:
    @pytest.fixture
    def application(self, tmp_path: Path) -> Iterator[Application]:
        with followed(PAGE, tmp_path / "project") as application:
            yield application

    @pytest.fixture
    def backstay(self, application: Application, settings: Settings) -> Backstay:
        return application.compose(settings)

    async def test_templates_of_the_guide_are_used(
        self, application: Application, backstay: Backstay, post: Post
    ) -> None:
        ann = await backstay.system(RegisterUser(email="ann@example.org", password=PASSWORD))
        (welcome,) = await post.deliver()
        assert welcome.subject == "Welcome to Backstay: one click is left"
        assert "Confirm the address" in welcome.html
        assert "<h1>Backstay</h1>" in welcome.html
        paid = message_of(application, "SendReceipt")(
            customer_id=ann.id, number="<7>", articles=["<rope>"], total="12.50"
        )
        await backstay.system(paid)
        (mail,) = await post.deliver()
        assert (mail.recipient, mail.subject) == ("ann@example.org", "Receipt <7>")
        assert mail.text == "You paid 12.50 EUR for:\n- <rope>\n"
        assert "<li>&lt;rope&gt;</li>" in mail.html
        await backstay.close()


def test_the_settings_of_the_guide_send_by_smtp(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("a secret")
    environ = dict(line.split("=", 1) for line in shlex.split(block("sh")))
    environ["MAIL_PASSWORD_FILE"] = str(tmp_path / "mail")
    local = load_settings({**environ, "MAIL_BACKEND": "smtp"}, tmp_path).mail
    assert (local.chosen, local.host, local.smtp_port) == ("smtp", "mail.example.com", 587)
    assert local.from_ == "Shop <shop@example.com>"
