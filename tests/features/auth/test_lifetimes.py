"""Shows that the longest lifetimes that the settings accept do not overflow the time."""

import httpx
import pytest

from backstay.settings.schema import PACKAGED
from backstay.testing import ADMIN_EMAIL
from tests.features.steps import ME, bearer, refresh, sign_in
from tests.patient import PATIENT

pytestmark = pytest.mark.anyio


@pytest.fixture
def variables() -> dict[str, str]:
    left_out = {*PATIENT, "DB_MIN_CONNECTIONS"}  # all of which would be opened
    longest = {
        each.name: each.setting.at_most for each in PACKAGED.variables if each.name not in left_out
    }
    return {name: str(most) for name, most in longest.items() if most is not None}


async def test_the_longest_lifetimes_let_people_in(client: httpx.AsyncClient) -> None:
    answer = await sign_in(client, ADMIN_EMAIL, transport="cookie")
    assert answer.status_code == 200, answer.text
    tokens = (await sign_in(client, ADMIN_EMAIL)).json()
    answer = await refresh(client, tokens["refresh_token"])
    assert answer.status_code == 200
    answer = await client.get(ME, headers=bearer(answer.json()["access_token"]))
    assert answer.status_code == 200
