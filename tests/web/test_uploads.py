"""Shows that uploads are received into files of their own, after every check."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from backstay.core import uploads
from backstay.core.feature import Feature
from backstay.core.uploads import PREFIX
from backstay.testing import Login, Person
from tests.features.conftest import trail  # noqa: F401
from tests.features.steps import API, Trail, needs
from tests.web.pictures import MOST, folder, kept, pictures, seen, temporary  # noqa: F401
from tests.web.problems import fields_of, problem

pytestmark = [pytest.mark.anyio, needs("items")]
PNG = {"content-type": "image/png"}
PATH = f"{API}/pictures/{uuid4()}"
PIXELS = b"\x89PNG" + b"pixels" * 1000


@pytest.fixture
def features(features: list[Feature]) -> list[Feature]:
    return [*features, pictures()]


async def test_a_raw_body_is_an_upload(login: Login) -> None:
    ada = await login()
    named = PNG | {"content-disposition": 'attachment; filename="C:\\\\pics/../sea.png"'}
    answer = await ada.client.post(PATH, content=PIXELS, headers=named)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["name"], told["media_type"], told["size"]) == ("sea.png", "image/png", 6004)
    assert told["sha256"] == sha256(PIXELS).hexdigest()
    assert told["first"] == PIXELS[:4].hex()
    (path,) = seen
    assert path.name.startswith(PREFIX)


async def test_the_form_of_a_browser_is_an_upload(login: Login) -> None:
    ada = await login()
    for name, shown in (("Übersicht ä.png", "Übersicht ä.png"), ("../../etc/passwd", "passwd")):
        files = {"picture": (name, PIXELS, "image/png")}
        answer = await ada.client.post(PATH, files=files)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["name"] == shown
        assert (told["size"], told["sha256"]) == (6004, sha256(PIXELS).hexdigest())


async def test_a_name_of_other_letters_is_read(login: Login) -> None:
    ada = await login()
    named = PNG | {"content-disposition": "attachment; filename*=UTF-8''%C3%9C%00b%2Fer.png"}
    answer = await ada.client.post(PATH, content=PIXELS, headers=named)
    assert answer.json()["name"] == "er.png"
    plain = {"content-type": "image/png", "content-disposition": 'attachment; filename="Ü.png"'}
    headers = [(name.encode(), value.encode()) for name, value in plain.items()]
    answer = await ada.client.post(PATH, content=PIXELS, headers=headers)
    assert answer.json()["name"] == "Ü.png"


async def unread(read: list[bool]) -> AsyncIterator[bytes]:
    read.append(True)
    yield PIXELS


async def test_every_check_precedes_the_first_byte(login: Login, client: httpx.AsyncClient) -> None:
    ada, read = await login(), list[bool]()
    problem(await client.post(PATH, content=unread(read), headers=PNG), 401)
    junk = {"authorization": "Bearer junk"} | PNG
    problem(await client.post(PATH, content=unread(read), headers=junk), 401)
    for kind in ("image/gif", "application/json", "", "image/png2"):
        headers = {"content-type": kind} if kind else {}
        problem(await ada.client.post(PATH, content=unread(read), headers=headers), 415)
    many = PNG | {"content-length": f"{MOST + 1}"}
    problem(await ada.client.post(PATH, content=unread(read), headers=many), 413, "too_large")
    wrong = await ada.client.post(f"{API}/pictures/7", content=unread(read), headers=PNG)
    assert fields_of(problem(wrong, 422)) == {"id": "uuid_parsing"}
    more = await ada.client.post(f"{PATH}?nonsense=1", content=unread(read), headers=PNG)
    problem(more, 422)
    keyed = PNG | {"idempotency-key": ""}
    problem(await ada.client.post(PATH, content=unread(read), headers=keyed), 400)
    assert not read
    assert not seen


async def test_who_may_not_send_the_command_sends_no_byte(
    login: Login,
    trail: Trail,  # noqa: F811
) -> None:
    ada, read = await login(), list[bool]()
    await trail()
    answer = await ada.client.post(f"{PATH}?then=forbidden", content=unread(read), headers=PNG)
    problem(answer, 403)
    (row,) = await trail()
    assert (row.message, row.outcome) == ("SetPicture", "refused")
    assert not read


async def test_an_upload_may_exceed_the_limit_of_other_bodies(login: Login) -> None:
    ada = await login()
    most = b"x" * MOST
    for sent in (
        {"content": most, "headers": PNG},
        {"files": {"picture": ("p", most, "image/png")}},
    ):
        answer = await ada.client.post(PATH, **sent)
        assert answer.status_code == 200, answer.text
        assert answer.json()["size"] == MOST
    problem(await ada.client.post(f"{API}/items", content=most, headers=PNG), 413)


async def parts(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 100_000):
        yield b"x" * 100_000


async def test_a_body_that_grows_too_large_is_refused(login: Login) -> None:
    ada = await login()
    problem(await ada.client.post(PATH, content=parts(MOST + 1), headers=PNG), 413, "too_large")
    files = {"picture": ("p", b"x" * (MOST + 1), "image/png")}
    problem(await ada.client.post(PATH, files=files), 413, "too_large")
    text = {"content-type": "text/plain"}
    drop = f"{API}/pictures/drop"
    assert (await ada.client.put(drop, content=b"x" * 10, headers=text)).status_code == 204
    problem(await ada.client.put(drop, content=b"x" * 11, headers=text), 413)
    problem(await ada.client.put(drop, content=b"", headers={}), 415)
    assert (await ada.client.put(drop, content=b"", headers=text)).status_code == 204


BOUNDARY = {"content-type": "multipart/form-data; boundary=b"}
PART = b'--b\r\nContent-Disposition: form-data; name="picture"; filename="a.png"\r\n'
KIND = b"Content-Type: image/png\r\n"
BAD: dict[str, tuple[bytes, int]] = {
    "no form": (b"no form at all", 400),
    "no end": (PART + KIND + b"\r\npixels", 400),
    "no file": (b"--b--\r\n", 422),
    "another field": (PART.replace(b"picture", b"photo") + KIND + b"\r\nx\r\n--b--\r\n", 422),
    "text": (b'--b\r\nContent-Disposition: form-data; name="picture"\r\n\r\nx\r\n--b--\r\n', 422),
    "two files": (PART + KIND + b"\r\nx\r\n" + PART + KIND + b"\r\nx\r\n--b--\r\n", 422),
    "no type": (PART + b"\r\nx\r\n--b--\r\n", 415),
    "another type": (PART + b"Content-Type: text/html\r\n\r\nx\r\n--b--\r\n", 415),
    "endless headers": (PART + b"X: y\r\n" * 10_000 + b"\r\nx\r\n--b--\r\n", 400),
    "nothing": (b"", 400),
}


@pytest.mark.parametrize("bad", BAD)
async def test_a_form_without_exactly_one_file_is_refused(login: Login, bad: str) -> None:
    ada = await login()
    body, status = BAD[bad]
    problem(await ada.client.post(PATH, content=body, headers=BOUNDARY), status)
    no_boundary = {"content-type": "multipart/form-data"}
    problem(await ada.client.post(PATH, content=body, headers=no_boundary), 400)
    assert not seen


async def test_a_retry_with_its_key_happens_once(login: Login) -> None:
    ada = await login()
    keyed = PNG | {"idempotency-key": "one"}
    path = f"{PATH}?then=item"
    first = await ada.client.post(path, content=PIXELS, headers=keyed)
    again = await ada.client.post(path, content=PIXELS, headers=keyed)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    other = await ada.client.post(path, content=PIXELS + b"x", headers=keyed)
    problem(other, 422, "idempotency_key_reused")
    assert len((await ada.client.get(f"{API}/items")).json()["items"]) == 1


async def send(person: Person, number: int) -> int:
    content = b"%d" % number * 1000
    answer = await person.client.post(f"{PATH}?keep_as={number}", content=content, headers=PNG)
    assert answer.json()["sha256"] == sha256(content).hexdigest()
    return answer.status_code


async def test_fifty_uploads_at_once_are_kept_apart(login: Login) -> None:
    ada = await login()
    statuses = await asyncio.gather(*(send(ada, number) for number in range(50)))
    assert set(statuses) == {200}
    assert len(kept()) == 50
    assert all((folder[0] / f"{n}").read_bytes() == b"%d" % n * 1000 for n in range(50))


async def test_memory_does_not_grow_with_the_upload(
    login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, largest = await login(), list[int]()
    append = uploads._append

    def note(path: Path, digest: Any, data: bytearray) -> int:
        largest.append(len(data))
        return append(path, digest, data)

    monkeypatch.setattr(uploads, "_append", note)
    answer = await ada.client.post(PATH, content=parts(2_000_000), headers=PNG)
    assert answer.json()["size"] == 2_000_000
    assert max(largest) < uploads.BUFFER_BYTES + 100_000


async def test_an_upload_is_described(app: FastAPI) -> None:
    operation = app.openapi()["paths"][f"{API}/pictures/{{id}}"]["post"]
    content = operation["requestBody"]["content"]
    file = {"type": "string", "format": "binary", "maxLength": MOST}
    assert content.keys() == {"image/png", "image/jpeg", "multipart/form-data"}
    assert content["image/png"]["schema"] == file
    form = content["multipart/form-data"]["schema"]
    assert (form["properties"], form["required"]) == ({"picture": file}, ["picture"])
    assert {"408", "413", "415", "507"} <= operation["responses"].keys()
    assert {each["name"] for each in operation["parameters"] if "name" in each} == {
        *("id", "keep_as", "then")
    }
