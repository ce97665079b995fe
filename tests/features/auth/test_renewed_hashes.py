"""Shows that a hash with old parameters is renewed at sign-in, also by many at once."""

import asyncio
from collections import Counter

import httpx
import pytest

from backstay.composition import Backstay
from backstay.testing import PASSWORD
from tests.features.auth.test_composed_passwords import as_before
from tests.features.steps import change_user, register, sign_in

pytestmark = pytest.mark.anyio


async def test_an_old_hash_is_renewed_by_many_at_once(
    client: httpx.AsyncClient, backstay: Backstay
) -> None:
    user = (await register(client, "ada@example.org")).json()
    await change_user(backstay, user["id"], password_hash=as_before(PASSWORD))
    signing_in = [sign_in(client, "ada@example.org") for _ in range(8)]
    answers = await asyncio.gather(*signing_in)
    assert Counter(answer.status_code for answer in answers) == {200: 8}
