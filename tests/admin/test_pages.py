"""Shows the pages of operators and of roles, and that each needs its own permission."""

import re
from datetime import timedelta

import pytest
from fastapi import FastAPI

from backstay.admin.charts import TOP, Series, chart
from backstay.composition import Backstay
from backstay.features.system.model import MetricMinute
from backstay.testing import Add, FrozenClock, Login
from tests.admin.conftest import Open
from tests.admin.visiting import Visitor
from tests.features.granting import grant

pytestmark = pytest.mark.anyio

NUMBERS = [each.name for each in MetricMinute.__table__.columns if each.name != "minute"]
PAGES = {
    "": "metrics:read",
    "/page/matrix": "permissions:list",
    "/page/queues": "jobs:list",
    "/page/schedule": "jobs:list",
    "/page/settings": "settings:read",
    "/data/system/jobs": "jobs:list",
    "/data/system/backups": "backups:list",
    "/data/system/activity": "audit:list",
    "/data/sessions": "sessions:list",
    "/page/mailbox": "mail:read",
}
"""By page: the permission of its query."""


@pytest.mark.parametrize("page", PAGES)
async def test_each_page_needs_the_permission_of_its_query(
    app: FastAPI, login: Login, backstay: Backstay, page: str
) -> None:
    with_it, without = await login(), await login()
    await grant(backstay, with_it.id, PAGES[page])
    seen = []
    for person in (with_it, without):
        visitor = Visitor(app)
        await visitor.sign_in(person.email)
        home = (await visitor.get("")).text
        answer = await visitor.get(page)
        is_dashboard = "<h1>Dashboard</h1>" in answer.text
        seen.append((answer.status_code, f'href="/admin{page}"' in home, is_dashboard))
        await visitor.client.aclose()
    assert seen[0][:2] == (200, True)
    if page:
        assert seen[1][:2] == (403, False)
    else:
        assert [each[2] for each in seen] == [True, False]


async def test_the_dashboard_draws_what_was_counted(
    console: Open, add: Add, clock: FrozenClock
) -> None:
    now = clock().replace(second=0, microsecond=0)
    for minute in range(3):
        moment = now - timedelta(minutes=minute + 1)
        counted = dict.fromkeys(NUMBERS, 0) | {"requests": 10, "errors": minute, "jobs_done": 4}
        await add(MetricMinute(minute=moment, **counted))
    page = (await (await console()).get("")).text
    assert "<dt>Requests</dt><dd>30</dd>" in page
    assert '<dd class="warn">3</dd>' in page
    assert page.count("<svg") == 7
    assert "Requests per minute. all: 10 at most; refused: 0 at most" in page


async def test_a_dashboard_without_minutes_says_so(console: Open) -> None:
    page = (await (await console()).get("")).text
    assert "Nothing was counted yet" in page
    assert "<svg" not in page


def test_a_chart_breaks_its_line_where_minutes_are_absent() -> None:
    minutes = [
        {"minute": f"2026-01-01T{hour:02}:{minute:02}:00Z", "n": 5}
        for hour, minute in ((10, 0), (10, 2), (10, 5), (11, 0))
    ]
    drawn = str(chart("Things", minutes, "2026-01-01T12:00:00Z", Series("n", "things")))
    (line,) = re.findall(r'class="line first" d="([^"]+)"', drawn)
    assert line.count("M") == 2
    assert line.count("L") == 2


def test_a_chart_draws_the_higher_of_two_neighbouring_minutes() -> None:
    minutes = [
        {"minute": f"2026-01-01T10:{minute:02}:00Z", "n": value, "m": None}
        for minute, value in enumerate((10, 2, 5, 10))
    ]
    drawn = str(
        chart("Things", minutes, "2026-01-01T12:00:00Z", Series("n", "one"), Series("m", "two"))
    )
    one, two = re.findall(r'class="line first" d="([^"]*)"', drawn)
    assert re.findall(r"[ML][\d.]+ ([\d.]+)", one) == [f"{TOP:.1f}"] * 2
    assert two == ""


async def test_the_matrix_shows_and_changes_grants(console: Open, backstay: Backstay) -> None:
    visitor = await console()
    page = (await visitor.get("/page/matrix")).text
    row = re.search(r"<code>items:create</code>.*?</tr>", page, re.DOTALL)
    assert row is not None
    assert '<span class="yes">all</span>' in row[0]
    change = re.search(r'href="/admin(/form/change_scope[^"]+)">OWN<', row[0])
    assert change is not None
    answer = await visitor.submit(change[1].replace("&amp;", "&"), {"scope": "ANY"})
    assert answer.status_code == 303
    page = (await visitor.get("/page/matrix")).text
    row = re.search(r"<code>items:create</code>.*?</tr>", page, re.DOTALL)
    assert row is not None
    assert ">ANY</a>" in row[0]


async def test_why_somebody_may_do_something_is_explained(console: Open, login: Login) -> None:
    person, visitor = await login(), await console()
    asked = await visitor.get("/data/rbac/explain")
    assert asked.headers["location"] == "/admin/ask/explain_permission"
    form = (await visitor.get("/ask/explain_permission")).text
    assert 'data-pick="/admin/pick/list_users"' in form
    filled = await visitor.get(f"/ask/explain_permission?user_id={person.id}&key=items:create")
    page = (await visitor.client.get(filled.headers["location"])).text
    assert "items:create" in page
    assert "<td>user</td>" in page


async def test_the_explorer_is_where_the_documentation_is(console: Open) -> None:
    visitor = await console("user")
    page = await visitor.get("/explorer")
    assert page.status_code == 200
    assert "<code>POST /items</code>" in page.text
    assert "<code>POST /rbac/roles</code>" not in page.text


class TestWithoutDocumentation:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"APP_SWAGGER": "false"}

    async def test_there_is_no_explorer(self, console: Open) -> None:
        visitor = await console()
        assert (await visitor.get("/explorer")).status_code == 404
        assert "/admin/explorer" not in (await visitor.get("")).text


async def test_the_history_of_an_object_is_one_link_away(console: Open) -> None:
    visitor = await console()
    made = await visitor.submit("/form/create_item", {"title": "watched"})
    page = (await visitor.client.get(made.headers["location"])).text
    history = re.search(r'href="/admin(/data/system/activity\?target=[^"]+)">History<', page)
    assert history is not None
    assert ">CreateItem<" in (await visitor.get(history[1])).text


async def test_only_the_file_asked_for_may_be_kept(console: Open) -> None:
    visitor = await console()
    page = (await visitor.get("")).text
    (address,) = re.findall(r'src="/admin(/assets/[^"]+)"', page)
    assert "immutable" in (await visitor.get(address)).headers["cache-control"]
    other = await visitor.get("/assets/of-another-release/console.js")
    assert other.status_code == 200
    assert other.headers["cache-control"] == "no-store"


async def test_a_slash_at_the_end_leads_to_the_console(console: Open, stranger: Visitor) -> None:
    visitor = await console()
    assert (await visitor.get("/")).headers["location"] == "/admin"
    asked = await stranger.get("/")
    assert asked.headers["location"].startswith("/admin/sign-in?next=")
