"""The guide to mail works as it is written."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.composition import Backstay
from backstay.core.feature import Feature
from backstay.features import STANDARD
from backstay.settings import Settings, load_settings
from backstay.testing import settings_with
from tests.features.guides import followed, message_of
from tests.features.mail.post import Post

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[3] / "docs" / "guides" / "mail.md").read_text("utf-8")
FILE = re.compile(r"`templates/(\w+\.\w+)`\n\n```\w+\n(.*?)```", re.DOTALL)


def block(language: str) -> str:
    """The one block of the page in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


class TestYourOwnMails:
    @pytest.fixture
    def shop(self, tmp_path: Path) -> Iterator[Feature]:
        with followed(PAGE, tmp_path / "features") as feature:
            yield feature

    @pytest.fixture
    def features(self, shop: Feature) -> list[Feature]:
        return [*STANDARD, shop]

    @pytest.fixture
    def settings(self, seeded_url: str, tmp_path: Path) -> Settings:
        templates = dict(FILE.findall(PAGE))
        assert templates.keys() == {"order_shipped.txt", "order_shipped.html"}
        for name, content in templates.items():
            (tmp_path / name).write_text(content)
        return settings_with(seeded_url, tmp_path, MAIL_TEMPLATES_DIR=str(tmp_path))

    async def test_templates_of_the_guide_are_used(
        self, backstay: Backstay, shop: Feature, post: Post
    ) -> None:
        order = message_of(shop, "ShipOrder")(number="<7>", customer="ann@example.org")
        await backstay.system(order)
        (mail,) = await post.deliver()
        assert (mail.recipient, mail.subject) == ("ann@example.org", "Your order <7> is on its way")
        assert mail.text.strip() == "<7> left us today."
        assert "<p>&lt;7&gt; left us today.</p>" in mail.html


def test_the_settings_of_the_guide_send_by_smtp(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("a secret")
    environ = dict(line.split("=", 1) for line in shlex.split(block("sh")))
    environ["MAIL_PASSWORD_FILE"] = str(tmp_path / "mail")
    local = load_settings({**environ, "MAIL_BACKEND": "smtp"}, tmp_path).mail
    assert (local.chosen, local.host, local.smtp_port) == ("smtp", "mail.example.com", 587)
    assert local.from_ == "Shop <shop@example.com>"
