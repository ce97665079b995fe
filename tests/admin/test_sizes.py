"""Shows that a form may not say more, nor more often, than a client of the API may."""

import pytest

from tests.admin.conftest import Open
from tests.admin.visiting import Visitor

pytestmark = pytest.mark.anyio


@pytest.fixture
def variables() -> dict[str, str]:
    return {"RATE_LIMIT_ENABLED": "true"}


async def test_a_body_has_the_limit_of_its_route(console: Open) -> None:
    visitor = await console()
    ids = "\n".join(f"{number}{'x' * 150}" for number in range(900))
    form = {"operation": "block_user", "ids": ids, "csrf": await visitor.token()}
    answer = await visitor.client.post("/admin/form/start_bulk", data=form)
    assert answer.status_code == 413
    assert "65536 bytes" in answer.text


@pytest.mark.parametrize("path", ["", "/explorer", "/ask/get_item", "/fresh", "/form/create_item"])
async def test_pages_that_send_nothing_are_counted(console: Open, path: str) -> None:
    visitor = await console("user")
    answers = [await visitor.get(path) for _ in range(101)]
    assert answers[0].status_code == 200
    assert answers[-1].status_code == 429
    assert "Retry-After" in answers[-1].headers


async def test_a_sign_in_is_counted_before_its_form_is_read(stranger: Visitor) -> None:
    large = {"login": "x", "password": "y" * 100_000}
    answers = [await stranger.client.post("/admin/sign-in", data=large) for _ in range(6)]
    assert [each.status_code for each in answers] == [413] * 5 + [429]


async def test_forms_of_another_session_are_counted(console: Open) -> None:
    visitor = await console("user")
    for _ in range(100):
        assert (await visitor.client.post("/admin/form/create_item")).status_code == 403
    assert (await visitor.client.post("/admin/form/create_item")).status_code == 429
