"""Shows that a crowd that signs in leaves everybody else's requests alone."""

import time
from collections import Counter
from statistics import median

import anyio
import httpx
import pytest

from tests.conftest import ADMIN_EMAIL, PASSWORD, Login
from tests.features.steps import AUTH, JWKS, ME

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]


async def test_hashing_passwords_stalls_nobody(login: Login, client: httpx.AsyncClient) -> None:
    person = await login()
    statuses: list[int] = []

    async def knock(number: int) -> None:
        password = PASSWORD if number % 2 else "not the password"
        body = {"email": ADMIN_EMAIL, "password": password}
        statuses.append((await client.post(f"{AUTH}/login", json=body)).status_code)

    waits: list[float] = []
    async with anyio.create_task_group() as group:
        for number in range(60):
            group.start_soon(knock, number)
        while len(statuses) < 30:
            started = time.perf_counter()
            assert (await person.client.get(ME)).status_code == 200
            assert (await client.get(JWKS)).status_code == 200
            waits.append(time.perf_counter() - started)
            await anyio.sleep(0.005)
    assert Counter(statuses) == {200: 30, 401: 30}
    assert len(waits) > 5
    assert median(waits) < 0.1
