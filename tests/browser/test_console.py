"""Shows every page of the console in a real browser: its policy, its looks, and its script."""

import re

import pytest
from playwright.sync_api import Browser, expect

from backstay.testing import ADMIN_EMAIL, PASSWORD, until
from tests.browser.visiting import Visitor
from tests.browser.walking import walk
from tests.cli.process import Server

LOOKED_AT = {
    "/admin",
    "/admin/explorer",
    "/admin/page/matrix",
    "/admin/page/health",
    "/admin/page/settings",
    "/admin/data/items",
    "/admin/data/items/{id}",
    "/admin/data/system/activity",
    "/admin/data/system/bulk/{id}",
    "/admin/data/users/{id}",
    "/admin/data/users/{id}/sessions",
    "/admin/form/create_item",
    "/admin/form/update_user?path.id",
    "/admin/form/set_password?path.id",
    "/admin/ask/explain_permission",
}
"""One page of each template, and of each kind of what a template shows."""


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    """A token of the administrator, who has made something for each page to show."""
    login = {"login": ADMIN_EMAIL, "password": PASSWORD, "transport": "body"}
    answer = server.client.post("/api/v1/auth/login", json=login)
    token = str(answer.json()["access_token"])
    made = [ask(server, token, "/items", {"title": f"item {n}"})["id"] for n in range(30)]
    ask(server, token, "/rbac/roles", {"name": "clerk", "level": 5, "description": "Clerks"})
    ask(server, token, "/tasks", {"task": "demo.count", "payload": {"steps": 1, "seconds": 0}})
    ask(server, token, "/system/bulk", {"operation": "delete_item", "ids": made[:2]})
    return token


def ask(server: Server, token: str, path: str, body: object) -> dict[str, str]:
    """What the API answers to a POST of the administrator."""
    headers = {"Authorization": f"Bearer {token}"}
    answer = server.client.post(f"/api/v1{path}", json=body, headers=headers)
    assert answer.is_success, answer.text
    found: dict[str, str] = answer.json()
    return found


@pytest.fixture
def signed_in(token: str, visitor: Visitor) -> Visitor:
    """A browser in which the administrator is signed in."""
    visitor.page.goto(f"{visitor.origin}/admin")
    visitor.page.get_by_label("E-mail address or user name").fill(ADMIN_EMAIL)
    visitor.page.get_by_label("Password").fill(PASSWORD)
    visitor.page.get_by_role("button", name="Sign in").click()
    expect(visitor.page.get_by_role("button", name="Sign out")).to_be_visible()
    return visitor


def test_the_sign_in_is_sound(visitor: Visitor) -> None:
    assert [*visitor.visit("/admin/sign-in"), *visitor.looks()] == []
    assert visitor.page.evaluate("document.activeElement.id") == "login"


def test_every_page_is_sound(signed_in: Visitor) -> None:
    known = walk(signed_in, "/admin", within="/admin", limit=400, looked_at=LOOKED_AT.__contains__)
    assert known.keys() >= LOOKED_AT
    assert len(known) > 100


def test_an_error_is_sound(signed_in: Visitor) -> None:
    assert [*signed_in.visit("/admin/nowhere", status=404), *signed_in.looks()] == []
    assert signed_in.visit("/admin/data/items?sort=nothing", status=422) == []


def test_an_id_is_found_by_name_with_the_keyboard(signed_in: Visitor) -> None:
    signed_in.visit("/admin/form/assign_role")
    box = signed_in.page.get_by_role("combobox", name="Role ID")
    box.fill("clerk")
    option = signed_in.page.get_by_role("option", name="clerk")
    expect(option).to_be_visible()
    assert [*signed_in.axe()] == []
    box.press("ArrowDown")
    box.press("Enter")
    expect(box).to_have_value(re.compile(r"^[0-9a-f]{8}-"))
    expect(signed_in.page.get_by_role("listbox")).to_be_hidden()
    assert signed_in.noted() == []


def test_the_first_step_up_leads_to_the_last_match(signed_in: Visitor) -> None:
    signed_in.visit("/admin/form/assign_role")
    box = signed_in.page.get_by_role("combobox", name="Role ID")
    box.focus()
    options = signed_in.page.get_by_role("option")
    expect(options).to_have_count(3)
    box.press("ArrowUp")
    expect(options.last).to_have_attribute("aria-selected", "true")


def test_progress_is_followed_until_it_is_over(
    server: Server, token: str, signed_in: Visitor
) -> None:
    task = {"task": "demo.count", "payload": {"steps": 3, "seconds": 3}}
    made = ask(server, token, "/tasks", task)
    signed_in.visit(f"/admin/data/tasks/{made['id']}")
    expect(signed_in.page.get_by_text("succeeded", exact=True)).to_be_visible()
    expect(signed_in.page.locator("[data-live]")).to_have_count(0)
    assert signed_in.noted() == []


def test_one_box_chooses_all_rows(signed_in: Visitor) -> None:
    signed_in.visit("/admin/data/items?title__contains=item+2")
    signed_in.page.get_by_label("Choose all rows of this page").check()
    chosen = signed_in.page.locator("tbody input:checked")
    expect(chosen).to_have_count(11)
    signed_in.page.get_by_label("With the chosen rows").select_option("delete_item")
    signed_in.page.get_by_role("button", name="Start").click()
    expect(signed_in.page.get_by_text("100 %")).to_be_visible()
    assert signed_in.noted() == []


def test_all_is_done_without_a_script(server: Server, token: str, browser: Browser) -> None:
    origin = str(server.client.base_url).rstrip("/")
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{origin}/admin/data/items")
        page.get_by_label("E-mail address or user name").fill(ADMIN_EMAIL)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="Create item").click()
        page.get_by_label("Title").fill("without a script")
        page.get_by_role("button", name="Create item").click()
        expect(page.get_by_role("heading", name="without a script")).to_be_visible()
        page.get_by_role("link", name="Items", exact=True).first.click()
        page.get_by_text("Filters").click()
        page.get_by_label("Title contains").fill("without")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_role("row")).to_have_count(2)


def test_a_reader_of_the_screen_skips_the_navigation(signed_in: Visitor) -> None:
    signed_in.visit("/admin/data/items")
    signed_in.page.keyboard.press("Tab")
    skip = signed_in.page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    signed_in.page.keyboard.press("Enter")
    assert signed_in.page.evaluate("document.activeElement.id") == "main"


def test_the_password_is_asked_for_again(signed_in: Visitor) -> None:
    assert [*signed_in.visit("/admin/fresh?next=/data/items"), *signed_in.looks()] == []
    until(lambda: signed_in.page.get_by_label("Password").is_visible())
    signed_in.page.get_by_label("Password").fill(PASSWORD)
    signed_in.page.get_by_role("button", name="Go on").click()
    assert signed_in.page.url == f"{signed_in.origin}/admin/data/items"
