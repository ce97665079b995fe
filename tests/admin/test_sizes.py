"""Shows that a form may not say more than the API's route may."""

import pytest

from tests.admin.conftest import Open

pytestmark = pytest.mark.anyio


async def test_a_body_has_the_limit_of_its_route(console: Open) -> None:
    visitor = await console()
    ids = "\n".join(f"{number}{'x' * 150}" for number in range(900))
    form = {"operation": "block_user", "ids": ids, "csrf": await visitor.token()}
    answer = await visitor.client.post("/admin/form/start_bulk", data=form)
    assert answer.status_code == 413
    assert "65536 bytes" in answer.text
