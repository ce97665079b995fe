"""Shows that Redis alone makes every process obey a change within a second, whatever fails."""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.process import KEYS, environ, serving
from tests.conftest import ADMIN_EMAIL, Templates
from tests.faults.pair import PROMISED, PROMPT, Two, leave, log_out, until, until_answered
from tests.features.steps import API, ME
from tests.services.valkey import ValkeyServer

DYING = """
import os, sys, anyio
from uuid import UUID
from backstay.adapters.principals_redis import RedisPrincipals
from backstay.composition import compose
from backstay.features.access.commands import JoinRole
from backstay.settings import load_settings

async def die(self, changes):
    os._exit(9)

async def main():
    RedisPrincipals.publish = die
    await compose(load_settings()).system(JoinRole(user_id=UUID(sys.argv[1]), role="admin"))

anyio.run(main)
"""


class Through(Two):
    """Two servers that cannot listen to their database, and hear one another through Redis."""

    valkey: ValkeyServer
    variables: dict[str, str]


@pytest.fixture(scope="module")
def own_valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture(scope="module")
def two(
    own_valkey: ValkeyServer, templates: Templates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Through]:
    url, remove = templates.copy("postgresql", tmp_path_factory.mktemp("database"))
    variables = {
        "DB_URL": url,
        "DB_PGBOUNCER": "true",
        "REDIS_URL": own_valkey.url,
        "ADMIN_EMAIL": ADMIN_EMAIL,
        "RATE_LIMIT_ENABLED": "false",
        "LOG_DIR": "",
        **KEYS,
    }
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "other")]
    with serving(folders[0], **variables) as one, serving(folders[1], **variables) as other:
        both = Through(one, other, url)
        both.valkey, both.variables = own_valkey, variables
        yield both
    remove()


@pytest.fixture(autouse=True)
def both_hear(two: Through) -> None:
    for server in (two.one, two.other):
        until(lambda server=server: health(server)["checks"]["cache"] == "ok")  # type: ignore[misc]


def health(server: Any) -> dict[str, Any]:
    answer: dict[str, Any] = server.client.get("/health").json()
    return answer


def test_a_session_that_ends_in_one_process_ends_in_the_other(two: Through) -> None:
    for _ in range(5):
        _, headers = two.join()
        log_out(two.one, headers)
        assert until_answered(two.other, ME, headers, 401) < PROMPT
    _, headers = two.join()
    leave(two.one, headers)
    assert until_answered(two.other, ME, headers, 401) < PROMPT


def test_a_signal_takes_milliseconds(two: Through) -> None:
    taken = []
    for _ in range(9):
        _, headers = two.join()
        log_out(two.one, headers)
        taken.append(until_answered(two.other, ME, headers, 401))
    assert sorted(taken)[4] < 0.1, taken


def test_a_role_given_by_a_command_line_is_obeyed_by_servers(two: Through) -> None:
    user_id, headers = two.join()
    program = DYING.replace("    RedisPrincipals.publish = die\n", "")
    run(program, user_id, two)
    for server in (two.one, two.other):
        assert until_answered(server, f"{API}/users", headers, 200) < PROMPT


def test_a_process_that_dies_between_its_commit_and_the_news_is_obeyed(two: Through) -> None:
    user_id, headers = two.join()
    assert two.other.client.get(f"{API}/users", headers=headers).status_code == 403
    assert run(DYING, user_id, two) == 9
    for server in (two.one, two.other):
        assert until_answered(server, f"{API}/users", headers, 200) < PROMISED


def run(program: str, user_id: str, two: Through) -> int:
    done = subprocess.run(
        [sys.executable, "-c", program, user_id],
        cwd=two.one.folder,
        env=environ(**two.variables),
        check=False,
        timeout=30,
    )
    return done.returncode


def test_a_principal_is_kept_while_the_channel_is_complete(two: Through) -> None:
    _, headers = two.join()
    time.sleep(1)
    two.sql("UPDATE users SET name = 'Told by nobody'")  # which nobody is told
    for _ in range(6):
        time.sleep(0.25)
        answer = two.other.client.get(ME, headers=headers)
        assert answer.json()["name"] != "Told by nobody"


def test_while_redis_hangs_a_change_is_obeyed_within_a_second(two: Through) -> None:
    for _ in range(3):
        _, headers = two.join()
        with two.valkey.frozen():
            log_out(two.one, headers)
            assert until_answered(two.other, ME, headers, 401) < PROMISED


def test_when_redis_dies_before_a_change_it_is_obeyed_within_a_second(two: Through) -> None:
    _, headers = two.join()
    two.valkey.kill()
    log_out(two.one, headers)
    assert until_answered(two.other, ME, headers, 401) < PROMISED
    two.valkey.start()


def test_when_redis_dies_after_a_change_it_is_obeyed_within_a_second(two: Through) -> None:
    _, headers = two.join()
    log_out(two.one, headers)
    two.valkey.kill()
    assert until_answered(two.other, ME, headers, 401) < PROMISED
    two.valkey.start()


def test_when_redis_restarts_around_a_change_it_is_obeyed_within_a_second(two: Through) -> None:
    for _ in range(3):
        _, headers = two.join()
        two.valkey.kill()
        log_out(two.one, headers)
        done = time.monotonic()
        two.valkey.start()
        until_answered(two.other, ME, headers, 401)
        assert time.monotonic() - done < PROMISED


def test_subscriptions_that_are_ended_delay_a_change_by_less_than_a_second(two: Through) -> None:
    _, headers = two.join()
    two.valkey.call("CLIENT", "KILL", "TYPE", "pubsub")
    log_out(two.one, headers)
    assert until_answered(two.other, ME, headers, 401) < PROMISED
