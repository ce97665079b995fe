"""Shows conditional requests: 304 for a known ETag, 412 for a change under an outdated one."""

from collections import Counter
from typing import Any

import anyio
import httpx
import pytest

from backstay.testing import Person
from tests.features.items.conftest import ITEMS, Make
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

sqlite_only = pytest.mark.parametrize("database_kind", ["sqlite"])


async def test_a_tag_is_strong_and_follows_the_content(ada: Person, make: Make) -> None:
    item = await make(ada)
    assert item["tag"].startswith('"')
    assert item["tag"].endswith('"')
    again = await ada.client.get(item["path"])
    assert again.headers["etag"] == item["tag"]
    changed = await ada.client.patch(item["path"], json={"title": "Octant"})
    assert changed.headers["etag"] != item["tag"]
    other = await make(ada)
    assert other["tag"] != item["tag"]


@sqlite_only
@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("{tag}", 304),
        ("W/{tag}", 304),
        ('"a", {tag}', 304),
        ('"a" ,W/{tag}', 304),
        ("*", 304),
        (' "a,b" , {tag} ', 304),
        ('"a"', 200),
        ('W/"a"', 200),
        ("{bare}", 200),
        ('""', 200),
        ("", 200),
        ('"*"', 200),
    ],
)
async def test_an_unchanged_item_is_answered_with_304(
    ada: Person, make: Make, header: str, status: int
) -> None:
    item = await make(ada)
    value = header.format(tag=item["tag"], bare=item["tag"].strip('"'))
    answer = await ada.client.get(item["path"], headers={"If-None-Match": value})
    assert answer.status_code == status
    assert answer.headers["etag"] == item["tag"]
    assert bool(answer.content) is (status == 200)


@sqlite_only
@pytest.mark.parametrize(
    ("header", "is_met"),
    [
        ("{tag}", True),
        ('"a", {tag}', True),
        ("*", True),
        (" * ", True),
        ("W/{tag}", False),
        ('"a"', False),
        ("{bare}", False),
        ("", False),
        ('"*"', False),
        ("x*", False),
        ("*, *", False),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_change_may_depend_on_a_tag(
    ada: Person, make: Make, method: str, header: str, is_met: bool
) -> None:
    item = await make(ada)
    value = header.format(tag=item["tag"], bare=item["tag"].strip('"'))
    body = None if method == "DELETE" else {"title": "Octant"}
    answer = await ada.client.request(method, item["path"], json=body, headers={"If-Match": value})
    if is_met:
        assert answer.status_code == (204 if method == "DELETE" else 200)
    else:
        problem(answer, 412, "precondition_failed")
        assert (await ada.client.get(item["path"])).headers["etag"] == item["tag"]


@sqlite_only
@pytest.mark.parametrize(
    ("header", "is_met"),
    [
        ("{tag}", False),
        ("W/{tag}", False),
        ('"a", {tag}', False),
        ("*", False),
        (" * ", False),
        ("*, *", False),
        ('*, "x"', False),
        ("{bare}", False),
        ("", False),
        ('"a"', True),
        ('"a" ,, W/"b"', True),
        ('W/"a"', True),
        ('"*"', True),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_change_may_depend_on_the_absence_of_a_tag(
    ada: Person, make: Make, method: str, header: str, is_met: bool
) -> None:
    item = await make(ada)
    headers = {"If-None-Match": header.format(tag=item["tag"], bare=item["tag"].strip('"'))}
    body = None if method == "DELETE" else {"title": "Octant"}
    answer = await ada.client.request(method, item["path"], json=body, headers=headers)
    if is_met:
        assert answer.status_code == (204 if method == "DELETE" else 200)
    else:
        problem(answer, 412, "precondition_failed")
        assert (await ada.client.get(item["path"])).headers["etag"] == item["tag"]


@sqlite_only
async def test_a_field_on_several_lines_is_one_list(ada: Person, make: Make) -> None:
    item = await make(ada)
    for name, method, status in (
        ("If-None-Match", "GET", 304),
        ("If-None-Match", "DELETE", 412),
        ("If-Match", "GET", 200),
        ("If-Match", "DELETE", 204),
    ):
        lines = [(name, '"a"'), (name, f'"b", {item["tag"]}'), (name, '"c"')]
        answer = await ada.client.request(method, item["path"], headers=lines)
        assert answer.status_code == status, (name, method)


@sqlite_only
async def test_a_read_may_depend_on_a_tag(ada: Person, make: Make) -> None:
    item = await make(ada)
    for tag, status in ((item["tag"], 200), ("*", 200), ('"a"', 412), (f"W/{item['tag']}", 412)):
        for method in ("GET", "HEAD"):
            answer = await ada.client.request(method, item["path"], headers={"If-Match": tag})
            assert answer.status_code == status, (method, tag)
    headers = {"If-Match": '"a"', "If-None-Match": item["tag"]}
    problem(await ada.client.get(item["path"], headers=headers), 412, "precondition_failed")


async def test_an_outdated_tag_is_refused(ada: Person, make: Make) -> None:
    item = await make(ada)
    await ada.client.patch(item["path"], json={"title": "Octant"})
    for method, suffix in (("PUT", ""), ("PATCH", ""), ("DELETE", ""), ("DELETE", "?hard=true")):
        answer = await ada.client.request(
            method,
            item["path"] + suffix,
            json={"title": "Late"} if method != "DELETE" else None,
            headers={"If-Match": item["tag"]},
        )
        problem(answer, 412, "precondition_failed")


async def test_a_condition_on_nothing_is_not_found(ada: Person, make: Make) -> None:
    item = await make(ada)
    await ada.client.delete(item["path"])
    for name in ("If-Match", "If-None-Match"):
        answer = await ada.client.patch(item["path"], json={}, headers={name: "*"})
        problem(answer, 404, "not_found")


async def all_at_once(
    person: Person, count: int, method: str, path: str, **arguments: Any
) -> list[httpx.Response]:
    answers: list[httpx.Response] = []

    async def one(number: int) -> None:
        body = None if method == "DELETE" else {"title": f"Writer {number}"}
        answers.append(await person.client.request(method, path, json=body, **arguments))

    async with anyio.create_task_group() as group:
        for number in range(count):
            group.start_soon(one, number)
    return answers


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_of_concurrent_writes_with_one_tag_exactly_one_succeeds(
    ada: Person, make: Make, method: str
) -> None:
    item = await make(ada)
    headers = {"If-Match": item["tag"]}
    answers = await all_at_once(ada, 8, method, item["path"], headers=headers)
    success, failure = (204, 404) if method == "DELETE" else (200, 412)
    assert Counter(answer.status_code for answer in answers) == {success: 1, failure: 7}
    if method != "DELETE":
        (winner,) = (answer for answer in answers if answer.status_code == 200)
        assert (await ada.client.get(item["path"])).json() == winner.json()


async def test_concurrent_writes_without_a_tag_all_succeed(ada: Person, make: Make) -> None:
    item = await make(ada)
    answers = await all_at_once(ada, 8, "PATCH", item["path"])
    assert Counter(answer.status_code for answer in answers) == {200: 8}
    assert {answer.json()["version"] for answer in answers} == set(range(2, 10))


async def test_lists_are_always_sent(ada: Person, make: Make) -> None:
    await make(ada)
    answer = await ada.client.get(ITEMS, headers={"If-None-Match": "*"})
    assert answer.status_code == 200
