"""Shows that what one process changes every other obeys within a second, whatever fails."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import anyio
import asyncpg
import pytest

from backstay.adapters.principals_postgres import CHANNEL, PostgresPrincipals
from backstay.cli.readiness import opened
from backstay.composition import Backstay, compose
from backstay.core.bus import handles
from backstay.core.clock import new_id
from backstay.core.context import PrincipalChanges
from backstay.core.feature import Feature
from backstay.core.messages import SYSTEM_ONLY, Command
from backstay.features import STANDARD
from backstay.features.access.commands import JoinRole
from backstay.features.items.commands import UpdateItem
from tests.cli.process import KEYS, serving
from tests.conftest import ADMIN_EMAIL, PASSWORD, Templates, settings_with
from tests.faults.pair import (
    PROMISED,
    PROMPT,
    Two,
    leave,
    log_out,
    paused,
    until,
    until_answered,
)
from tests.features.steps import API, AUTH, ME, bearer


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def two(
    request: pytest.FixtureRequest, templates: Templates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Two]:
    url, remove = templates.copy(request.param, tmp_path_factory.mktemp("database"))
    variables = {"DB_URL": url, "ADMIN_EMAIL": ADMIN_EMAIL, "RATE_LIMIT_ENABLED": "false"} | KEYS
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "other")]
    with serving(folders[0], **variables) as one, serving(folders[1], **variables) as other:
        yield Two(one, other, url)
    remove()


def test_a_session_that_ends_in_one_process_ends_in_the_other(two: Two) -> None:
    for _ in range(5):
        _, headers = two.join()
        log_out(two.one, headers)
        assert until_answered(two.other, ME, headers, 401) < PROMPT
    _, headers = two.join()
    leave(two.one, headers)
    assert until_answered(two.other, ME, headers, 401) < PROMPT


def test_a_role_given_by_a_command_line_is_obeyed_by_servers(two: Two, tmp_path: Path) -> None:
    user_id, headers = two.join()
    assert two.other.client.get(f"{API}/users", headers=headers).status_code == 403

    async def promote() -> None:
        backstay = compose(settings_with(two.url, tmp_path))
        await backstay.system(JoinRole(user_id=UUID(user_id), role="admin"))
        await backstay.close()

    anyio.run(promote)
    for server in (two.one, two.other):
        assert until_answered(server, f"{API}/users", headers, 200) < PROMPT


def test_an_answer_outdated_by_a_command_line_is_forgotten_by_servers(
    two: Two, tmp_path: Path
) -> None:
    _, headers = two.join()
    created = two.one.client.post(f"{API}/items", json={"title": "before"}, headers=headers)
    path = created.headers["Location"]
    assert two.other.client.get(path, headers=headers).json()["title"] == "before"

    async def rename() -> None:
        async with opened(settings_with(two.url, tmp_path)) as backstay:
            await backstay.system(UpdateItem(id=UUID(created.json()["id"]), title="after"))

    anyio.run(rename)

    def is_shown() -> bool:
        title: str = two.other.client.get(path, headers=headers).json()["title"]
        return title == "after"

    assert until(is_shown) < PROMISED


class Admin:
    """The administrator, at the first server."""

    def __init__(self, two: Two) -> None:
        self.client = two.one.client
        login = {"email": ADMIN_EMAIL, "password": PASSWORD}
        answer = self.client.post(f"{AUTH}/login", json=login)
        self.headers = bearer(answer.json()["access_token"])

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """What a change that must succeed is answered with."""
        answer = self.client.request(method, f"{API}{path}", json=body, headers=self.headers)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def permit(self, user_id: str) -> tuple[str, str, str]:
        """Let somebody list users; the paths of the membership, the grant and its rules."""
        role = self.send("POST", "/rbac/roles", {"name": str(new_id()), "level": 5})["id"]
        (found,) = self.send("GET", "/rbac/permissions?key=users:list")["items"]
        (email,) = (field["id"] for field in found["fields"] if field["name"] == "email")
        ids = {"role_id": role, "permission_id": found["id"]}
        self.send("POST", "/rbac/permissions", {**ids, "scope": "ANY"})
        rule = {**ids, "field_id": email, "effect": "ALLOW"}
        self.send("POST", "/rbac/permission-fields", rule)
        member = f"/rbac/roles/{role}/users/{user_id}"
        self.send("POST", member)
        grant = f"/rbac/roles/{role}/permissions/{found['id']}"
        return member, grant, f"{grant}/fields/{email}"


def test_what_an_administrator_changes_is_obeyed_by_the_other_process(two: Two) -> None:
    """A field rule, a grant, a membership and an account in turn, each timed from its answer."""
    admin, (user_id, headers) = Admin(two), two.join()
    users, by_email = f"{API}/users", f"{API}/users?email=x"
    member, grant, rule = admin.permit(user_id)
    for server in (two.one, two.other):
        assert until_answered(server, by_email, headers, 200) < PROMISED
    for method, path, body, asked, before, after in (
        ("PATCH", rule, {"effect": "DENY"}, by_email, 200, 403),
        ("DELETE", rule, None, by_email, 403, 200),
        ("DELETE", member, None, users, 200, 403),
        ("POST", member, None, users, 403, 200),
        ("DELETE", grant, None, users, 200, 403),
        ("POST", f"/users/{user_id}/block", None, ME, 200, 401),
    ):
        assert two.other.client.get(asked, headers=headers).status_code == before, path
        admin.send(method, path, body)
        assert until_answered(two.other, asked, headers, after) < PROMISED, path


@pytest.mark.parametrize("two", ["postgresql"], indirect=True)
class TestOnPostgres:
    def test_a_notification_takes_milliseconds(self, two: Two) -> None:
        taken = []
        for _ in range(9):
            _, headers = two.join()
            log_out(two.one, headers)
            taken.append(until_answered(two.other, ME, headers, 401))
        assert sorted(taken)[4] < 0.1, taken

    def test_a_listener_that_is_ended_before_a_change_delays_it_by_less_than_a_second(
        self, two: Two
    ) -> None:
        _, headers = two.join()
        two.end_listeners()
        log_out(two.one, headers)
        assert until_answered(two.other, ME, headers, 401) < PROMISED

    def test_a_listener_that_is_ended_after_a_change_delays_it_by_less_than_a_second(
        self, two: Two
    ) -> None:
        _, headers = two.join()
        log_out(two.one, headers)
        two.end_listeners()
        assert until_answered(two.other, ME, headers, 401) < PROMISED

    def test_a_listener_comes_back_and_says_so_once(self, two: Two) -> None:
        time.sleep(1)  # until what earlier tests have ended is back
        before = two.other.printed
        two.end_listeners()
        until(lambda: "channel is back" in two.other.printed.removeprefix(before))
        time.sleep(0.5)
        printed = two.other.printed.removeprefix(before)
        assert (printed.count("channel lost"), printed.count("channel is back")) == (1, 1)
        _, headers = two.join()
        log_out(two.one, headers)
        assert until_answered(two.other, ME, headers, 401) < PROMPT

    def test_listeners_that_hang_delay_a_change_by_less_than_a_second(self, two: Two) -> None:
        for _ in range(3):
            with paused(two.listeners()):
                _, headers = two.join()
                log_out(two.one, headers)
                assert until_answered(two.other, ME, headers, 401) < PROMISED

    @pytest.mark.parametrize("payload", ["", "{", "null", "[]", '{"users": 5}', '{"users": ["x"]}'])
    def test_a_notification_of_somebody_else_makes_it_forget_everything(
        self, two: Two, payload: str
    ) -> None:
        listeners, printed = two.listeners(), two.other.printed
        _, headers = two.join()
        two.end_unnoticed(headers)
        assert two.other.client.get(ME, headers=headers).status_code == 200
        two.sql(f"SELECT pg_notify('backstay_principals', '{payload}')")
        assert until_answered(two.other, ME, headers, 401) < PROMPT
        assert two.listeners() == listeners
        assert "channel lost" not in two.other.printed.removeprefix(printed)

    def test_more_changes_than_a_notification_can_name_make_it_forget_everything(
        self, two: Two, tmp_path: Path
    ) -> None:
        _, headers = two.join()
        two.end_unnoticed(headers)
        module = ModuleType(__name__)
        vars(module).update(Reorganise=Reorganise, reorganise=reorganise)

        async def send(count: int) -> None:
            firm = Feature("firm", modules=(module,))
            backstay = compose(settings_with(two.url, tmp_path), [*STANDARD, firm])
            await backstay.system(Reorganise(user_ids=tuple(new_id() for _ in range(count))))
            await backstay.close()

        anyio.run(send, 100)
        time.sleep(PROMPT)
        assert two.other.client.get(ME, headers=headers).status_code == 200
        anyio.run(send, 1000)
        assert until_answered(two.other, ME, headers, 401) < PROMPT

    def test_a_silent_listener_is_replaced_and_operators_are_told_meanwhile(self, two: Two) -> None:
        def state() -> tuple[str, str, float]:
            health = two.other.client.get("/health").json()
            metrics = two.other.client.get("/metrics").text.splitlines()
            (line,) = (one for one in metrics if one.startswith("backstay_principal_channel_up"))
            return health["status"], health["checks"]["principal_channel"], float(line.split()[1])

        until(lambda: state() == ("ok", "ok", 1))
        silent = two.listeners()
        with paused(silent):
            until(lambda: state() == ("degraded", "degraded", 0))
            until(lambda: state() == ("ok", "ok", 1))
            _, headers = two.join()
            two.end_unnoticed(headers)
            two.sql("SELECT pg_notify('backstay_principals', '')")
            assert until_answered(two.other, ME, headers, 401) < PROMPT
        assert not set(two.listeners()) & set(silent)


@pytest.mark.anyio
@pytest.mark.parametrize("database_kind", ["postgresql"])
async def test_what_arrives_as_a_listener_ends_is_heeded(
    backstay: Backstay, seeded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = await asyncpg.connect(seeded_url)
    ended.terminate()
    flushed: list[str] = []
    monkeypatch.setattr(PostgresPrincipals, "flush", lambda _: flushed.append("all"))
    assert isinstance(backstay.channel, PostgresPrincipals)
    backstay.channel._hear(ended, 1, CHANNEL, "not ours")
    assert flushed == ["all"]


class Reorganise(Command[None]):
    permission = SYSTEM_ONLY

    user_ids: tuple[UUID, ...]


@handles(Reorganise)
async def reorganise(command: Reorganise, changes: PrincipalChanges) -> None:
    changes.touch(*command.user_ids)
