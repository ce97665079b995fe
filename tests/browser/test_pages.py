"""Shows that the pages of the package keep to their policy, and that everyone can use them."""

import pytest

from backstay.testing import ADMIN_EMAIL, PASSWORD, until
from tests.browser.visiting import Visitor
from tests.browser.walking import walk
from tests.cli.process import Server

LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg"
"""A picture that ReDoc wants; the policy refuses it, and no option leaves it out."""


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/forgot-password", 200), ("/reset-password", 400), ("/verify-email", 400)],
)
def test_pages_are_sound(visitor: Visitor, path: str, status: int) -> None:
    assert [*visitor.visit(path, status=status), *visitor.looks()] == []


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_documentation_loads_nothing_from_elsewhere(visitor: Visitor, path: str) -> None:
    """How they look is the affair of Swagger UI and ReDoc."""
    visitor.visit(path)
    visitor.page.get_by_text("/auth/login").first.wait_for()
    assert [each for each in visitor.noted() if LOGO not in each] == []


def test_the_mailbox_is_sound_with_mails_in_it(server: Server, visitor: Visitor) -> None:
    for number in range(2):
        body = {"email": f"mail{number}@example.org", "password": PASSWORD}
        assert server.client.post("/api/v1/users", json=body).status_code == 201
    until(lambda: server.client.get("/dev/mailbox").text.count('href="/dev/mailbox/') == 2)
    walked = walk(visitor, "/dev/mailbox", within="/dev")
    assert walked.keys() == {"/dev/mailbox", "/dev/mailbox/{id}"}


def test_the_form_of_a_mailed_link_is_sound(server: Server, visitor: Visitor) -> None:
    server.client.post("/api/v1/auth/password/forgot", json={"email": ADMIN_EMAIL})
    until(lambda: ADMIN_EMAIL in server.client.get("/dev/mailbox").text)
    visitor.visit("/dev/mailbox")
    visitor.page.get_by_role("row", name=ADMIN_EMAIL).get_by_role("link").click()
    mailed = visitor.page.get_by_role("link", name="reset-password?token=").text_content()
    path = f"/reset-password?{str(mailed).partition('?')[2]}"
    assert [*visitor.visit(path), *visitor.looks()] == []
