"""Shows what pages, columns and links are called."""

import re
from uuid import UUID

import pytest

from backstay.admin.cells import MOST_PARTS, cell
from backstay.admin.operations import words
from backstay.testing import Login
from tests.admin.conftest import Open

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("rate-limits", "Rate limits"),
        ("RateLimits", "Rate limits"),
        ("is_blocked", "Blocked"),
        ("owner_id", "Owner ID"),
        ("id", "ID"),
        ("email_verified", "E-mail verified"),
        ("UpdateMe", "Update my account"),
        ("Rename", "Rename"),
        ("island", "Island"),
    ],
)
def test_names_in_code_are_written_as_people_write(name: str, told: str) -> None:
    assert words(name) == told


def html(value: object, *, is_whole: bool = False) -> str:
    """How a table shows a value."""
    return cell(value, is_whole=is_whole).__html__()


def test_values_are_named_as_far_as_they_are_plain() -> None:
    named = "<code>id</code> 1<br><code>note</code> &lt;b&gt;"
    assert html({"id": 1, "note": "<b>"}) == named
    some_id = str(UUID(int=7))
    assert f">&hellip;{some_id[-8:]}<" in html({"id": some_id})
    assert f">{some_id}<" in html({"id": some_id}, is_whole=True)
    assert html(["a", "b"]) == "a, b"
    assert html({"deep": {"a": 1}}) == "{&#34;deep&#34;:{&#34;a&#34;:1}}"
    assert "<code>" not in html(dict.fromkeys(map(str, range(MOST_PARTS + 1)), 1))


async def test_a_user_has_a_link_to_all_that_is_theirs(console: Open, login: Login) -> None:
    person, visitor = await login(), await console()
    page = (await visitor.get(f"/data/users/{person.id}")).text
    (tabs,) = re.findall(r'<nav class="tabs".*?</nav>', page, re.DOTALL)
    links = dict(re.findall(r'<li><a href="/admin/data([^"]+)">([^<]+)</a>', tabs))
    assert len(set(links.values())) == len(links)
    assert links[f"/system/activity?impersonator_id={person.id}"] == "Audit trail (as impersonator)"
    assert links[f"/users/{person.id}/sessions"] == "Sessions"
    assert links[f"/rbac/users/{person.id}/roles"] == "Roles"
    assert links[f"/tasks?user_id={person.id}"] == "Tasks"
    for link in links:
        assert (await visitor.get(f"/data{link.replace('&amp;', '&')}")).status_code == 200, link


async def test_members_of_a_role_are_added_on_its_page(console: Open, login: Login) -> None:
    admin, visitor = await login("admin"), await console()
    made = await admin.client.post("/api/v1/rbac/roles", json={"name": "clerk", "level": 5})
    page = (await visitor.get(f"/data/rbac/roles/{made.json()['id']}/users")).text
    (form,) = re.findall(r'href="/admin(/form/assign_role[^"]*)"', page)
    person = await login()
    answer = await visitor.submit(form, {"path.user_id": person.id})
    assert answer.status_code == 303, answer.text
    assert person.email in (await visitor.client.get(answer.headers["location"])).text


async def test_what_is_about_one_row_stands_in_it(console: Open, login: Login) -> None:
    person, visitor = await login(), await console()
    page = (await visitor.get(f"/data/users/{person.id}/sessions")).text
    above, _, rows = page.partition("<tbody>")
    assert "/form/end_sessions_of_user?" in above
    assert "/form/end_session_of_user?" not in above
    assert "/form/end_session_of_user?" in rows
