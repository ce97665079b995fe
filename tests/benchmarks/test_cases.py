"""The cases of the benchmark send what they say they do."""

import json
from collections import Counter
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from starlette.requests import Request as HTTPRequest

from backstay.admin.cookies import Cookies
from backstay.core.ports import AccessClaims
from backstay.settings import decode_key
from benchmarks.cases import CASES, DATABASES, POSTGRESQL, SQLITE_FILE, Case
from benchmarks.measuring import chosen
from benchmarks.stage import Stage

USER, SESSION = uuid4(), uuid4()
STAGE = Stage(
    environ={"SECURITY_REFRESH_TOKEN_SECRET": "k" * 64},
    token="few",
    admin=AccessClaims(USER, SESSION, 0),
    admin_token="admin",
    emails=("a@example.org", "b@example.org"),
    item="1",
    tag='"1"',
    deep_id="2",
    deep_token="many",
    deep_cursor="cursor",
    roles_token="roles",
    roles_item="3",
    busy_id="4",
    busy_token="busy",
    busy_items=tuple(str(number) for number in range(8)),
    refresh_tokens=("first", "second"),
)
BY_NAME = {case.name: case for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_applications_get_the_same_methods_and_bodies(case: Case) -> None:
    if case.bare is not None:
        ours, bare = case.ours(STAGE), case.bare(STAGE)
        assert [(each.method, bool(each.body)) for each in ours] == [
            (each.method, bool(each.body)) for each in bare
        ]


def test_an_update_never_repeats_the_title_of_an_item() -> None:
    sent = BY_NAME["update"].ours(STAGE)
    titles = [json.loads(request.body)["title"] for request in sent if request.url.endswith("/5")]
    assert len(titles) == 2
    assert len(set(titles)) == 2


def test_every_item_is_deleted_before_the_first_is_restored() -> None:
    methods = [request.method for request in BY_NAME["delete"].ours(STAGE)]
    assert methods == ["DELETE"] * 8 + ["POST"] * 8


def test_of_mixed_requests_a_fifth_write() -> None:
    methods = Counter(request.method for request in BY_NAME["mixed"].ours(STAGE))
    assert methods == {"GET": 8, "POST": 2}


def test_people_sign_in_by_turns() -> None:
    sent = BY_NAME["login"].ours(STAGE)
    assert [json.loads(request.body)["email"] for request in sent] == list(STAGE.emails)


@pytest.mark.parametrize("database", DATABASES)
def test_named_cases_are_chosen(database: str) -> None:
    names = [case.name for case in chosen(["create", "limited"], database)]
    assert names == (["create", "limited"] if database == POSTGRESQL else ["create"])


def test_sqlite_leaves_out_what_no_database_changes() -> None:
    left_out = {case.name for case in CASES} - {case.name for case in chosen([], SQLITE_FILE)}
    assert left_out == {case.name for case in CASES if case.once}
    assert all(BY_NAME[name].bare is None or name == "cached-redis" for name in left_out)


def test_the_console_is_asked_by_a_cookie_of_its_own() -> None:
    (request,) = BY_NAME["console"].ours(STAGE)
    key = decode_key(STAGE.environ["SECURITY_REFRESH_TOKEN_SECRET"])
    cookies = Cookies(key, lambda: datetime.now(UTC), secure=False)
    headers = [(b"cookie", request.headers["Cookie"].encode())]
    session = cookies.read(HTTPRequest({"type": "http", "headers": headers}))
    assert session is not None
    assert (session.user_id, session.session_id) == (USER, SESSION)
