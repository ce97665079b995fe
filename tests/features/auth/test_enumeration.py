"""Shows that a refused sign-in reveals nothing about the account, by text or by time."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import select

from backstay.composition import Backstay
from backstay.core.clock import utc_now
from backstay.features.users.model import User
from backstay.security import passwords as passwords_argon2
from backstay.testing import PASSWORD, Login
from tests.features.steps import AUTH, change_user, execute, refresh, register, sign_in
from tests.web.problems import problem

pytestmark = pytest.mark.anyio


class CountingHasher:
    """Records what the real hasher does, and at what cost."""

    def __init__(self, hasher: Any) -> None:
        self._hasher = hasher
        self.done: list[str] = []
        self.costs: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._hasher, name)

        def counted(*arguments: Any) -> Any:
            self.done.append(name)
            if name == "verify":
                self.costs.append(arguments[1].rpartition("$")[0].rpartition("$")[0])
            return method(*arguments)

        return counted


@pytest.fixture
def work(backstay: Backstay) -> CountingHasher:
    """A hasher that records its work."""
    hasher: Any = CountingHasher(backstay.passwords._hasher)
    backstay.passwords._hasher = hasher
    counting: CountingHasher = hasher
    return counting


@pytest.fixture
async def accounts(client: httpx.AsyncClient, backstay: Backstay) -> dict[str, dict[str, str]]:
    """Sign-ins that must be refused, by the reason."""
    ids = {}
    for name in ("wrong", "blocked", "deleted"):
        ids[name] = (await register(client, f"{name}@example.org")).json()["id"]
    await change_user(backstay, ids["blocked"], blocked_at=utc_now())
    await change_user(backstay, ids["deleted"], deleted_at=utc_now())
    return {
        "wrong password": {"email": "wrong@example.org", "password": "not the password"},
        "unknown": {"email": "nobody@example.org", "password": PASSWORD},
        "unknown username": {"username": "nobody", "password": PASSWORD},
        "blocked": {"email": "blocked@example.org", "password": PASSWORD},
        "deleted": {"email": "deleted@example.org", "password": PASSWORD},
    }


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
async def test_every_refusal_reads_the_same_and_costs_the_same(
    client: httpx.AsyncClient,
    accounts: dict[str, dict[str, str]],
    work: CountingHasher,
    form: bool,
) -> None:
    """The cost is mostly time: one hash with the same memory and rounds."""
    seen = []
    for body in accounts.values():
        work.done.clear()
        work.costs.clear()
        fields = {"username": body.get("email", "nobody"), "password": body["password"]}
        login = {"data": fields} if form else {"json": body}
        answer = await client.post(f"{AUTH}/login", **login)  # type: ignore[arg-type]
        told = problem(answer, 401, "auth_error")
        del told["request_id"]
        headers = set(answer.headers) | {answer.headers["www-authenticate"]}
        cost = tuple(work.done), tuple(work.costs)
        seen.append((told, headers, answer.headers["content-length"], cost))
    assert all(one == seen[0] for one in seen)
    memory, rounds = passwords_argon2.MEMORY_KIB, passwords_argon2.TIME_COST
    assert seen[0][3] == (("verify",), (f"$argon2id$v=19$m={memory},t={rounds},p=1",))


async def test_an_account_that_may_sign_in_costs_no_more(
    client: httpx.AsyncClient, accounts: dict[str, dict[str, str]], work: CountingHasher
) -> None:
    answer = await sign_in(client, "wrong@example.org")
    assert answer.status_code == 200
    assert work.done.count("verify") == 1
    assert "hash" not in work.done


async def test_a_hash_of_the_past_is_renewed_at_sign_in(
    client: httpx.AsyncClient, login: Login, backstay: Backstay
) -> None:
    weak = Argon2Hasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    person = await login()
    await change_user(backstay, person.id, password_hash=weak)
    assert (await sign_in(client, person.email)).status_code == 200
    account = await _hash_of(backstay, person.id)
    assert account != weak
    assert not backstay.passwords.is_outdated(account)
    assert (await sign_in(client, person.email)).status_code == 200
    assert await _hash_of(backstay, person.id) == account
    answer = await refresh(client, person.tokens["refresh_token"])
    assert answer.status_code == 200


async def _hash_of(backstay: Backstay, user_id: str) -> str:
    query = select(User.password_hash).where(User.id == UUID(user_id))
    stored: str = (await execute(backstay, query)).scalar_one()
    return stored


@pytest.mark.parametrize("state", ["blocked_at", "deleted_at"])
async def test_blocked_and_deleted_accounts_lose_every_token(
    client: httpx.AsyncClient, login: Login, backstay: Backstay, state: str
) -> None:
    person = await login()
    await change_user(backstay, person.id, **{state: utc_now()})
    problem(await person.client.get("/api/v1/users/me"), 401, "auth_error")
    problem(await refresh(client, person.tokens["refresh_token"]), 401, "auth_error")
