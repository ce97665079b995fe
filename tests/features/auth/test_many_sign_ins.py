"""Shows that many sign-ins at once do not delay other requests."""

import asyncio
import threading
from collections import Counter

import httpx
import pytest

from backstay.composition import Backstay
from backstay.testing import ADMIN_EMAIL, PASSWORD, Login
from backstay.testing.waiting import LIMIT, eventually
from tests.features.steps import API, AUTH, JWKS, ME

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

CROWD = 30


class HeldHasher:
    """A hasher whose verifications end only when the test allows it."""

    def __init__(self, backstay: Backstay) -> None:
        self._verify = backstay.passwords._hasher.verify
        self.begun = 0
        self.may_end = threading.Event()

    def __call__(self, password: str, hashed: str) -> bool:
        assert threading.current_thread() is not threading.main_thread()
        self.begun += 1
        assert self.may_end.wait(LIMIT)
        return bool(self._verify(password, hashed))


async def test_hashing_passwords_stalls_nobody(
    login: Login, client: httpx.AsyncClient, backstay: Backstay, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, held = await login(), HeldHasher(backstay)
    monkeypatch.setattr(backstay.passwords._hasher, "verify", held)

    async def knock(number: int) -> int:
        password = PASSWORD if number % 2 else "not the password"
        body = {"email": ADMIN_EMAIL, "password": password}
        return (await client.post(f"{AUTH}/login", json=body)).status_code

    knocking = [asyncio.create_task(knock(number)) for number in range(CROWD)]
    try:
        await eventually(lambda: held.begun)
        for path in (ME, JWKS, f"{AUTH}/sessions", f"{API}/users/me/export"):
            answer = await asyncio.wait_for(person.client.get(path), LIMIT)
            assert answer.status_code == 200
        assert not any(each.done() for each in knocking)
    finally:
        held.may_end.set()
    assert Counter(await asyncio.gather(*knocking)) == {200: CROWD // 2, 401: CROWD // 2}
