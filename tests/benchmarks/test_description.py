"""Shows what a description of another server may say, and what is said of one that does not fit."""

import json
import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from backstay.testing.ports import free_port
from benchmarks.against import listening, ratio
from benchmarks.description import Unfit, read, requests
from benchmarks.load import Measured

WHOLE = """
[sign_in]
path = "/in"
send = "form"
fields = { user = "ann", password = "secret words" }
token = "data.0.token"

[list]
path = "/things"

[create]
path = "/things"
body = { name = "made" }

[item]
path = "/things/{id}"
from = "list"
id = "rows.1.id"
"""
TOKEN = {"data": [{"token": "t0p"}]}


class Other(BaseHTTPRequestHandler):
    """A server with things."""

    def do_GET(self) -> None:
        listed = {"rows": [{"id": 1}, {"id": 2}]}
        answers = {"/things": listed, "/things/2": {"id": 2}, "/text": None}
        is_known = self.path in answers and self.headers["Authorization"] == "Bearer t0p"
        self._answer(200 if is_known else 404, answers.get(self.path))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/in":
            is_right = body == b"user=ann&password=secret+words"
            self._answer(200 if is_right else 401, TOKEN)
        else:
            self._answer(201 if json.loads(body) == {"name": "made"} else 422, {"id": 3})

    def _answer(self, status: int, value: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"hello" if value is None else json.dumps(value).encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def described(folder: Path, *changes: tuple[str, str]) -> Path:
    text = WHOLE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "other.toml").write_text(text)
    return folder / "other.toml"


def test_a_description_becomes_requests(url: str, tmp_path: Path) -> None:
    made = requests(url, read(described(tmp_path)))
    assert {name: (r.method, r.url.removeprefix(url)) for name, r in made.items()} == {
        "item": ("GET", "/things/2"),
        "list": ("GET", "/things"),
        "create": ("POST", "/things"),
    }
    assert {r.headers["Authorization"] for r in made.values()} == {"Bearer t0p"}
    assert json.loads(made["create"].body) == {"name": "made"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("secret words", "guess"), "answered with 401: the sign-in was refused"),
        (("/things/{id}", "/nowhere/{id}"), r"\[item\].* answered with 404: .*`path` in \[item\]"),
        (("data.0.token", "data.0.access"), "no access of data.0.access; there is an object with"),
        (("data.0.token", "data.7.token"), "no 7 of data.7.token; there is a list of 1"),
        (("rows.1.id", "rows"), r"\[item\] `id`.* rows is a list of 2, no text"),
        (('made"', 'else"'), r"\[create\].* answered with 422\."),
        (('list]\npath = "/things"', 'list]\npath = "/text"'), "something that is not JSON"),
    ],
)
def test_what_does_not_fit_gives_a_sentence(
    url: str, tmp_path: Path, change: tuple[str, str], sentence: str
) -> None:
    with pytest.raises(Unfit, match=sentence) as told:
        requests(url, read(described(tmp_path, change)))
    assert "t0p" not in str(told.value)
    assert "secret words" not in str(told.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("[sign_in]", "[sign_in"), "is not TOML: .*line 2"),
        (("[list]", "[lists]"), r"\[lists\] Extra inputs"),
        (("[list]\npath", "[me]\npath"), r"\[item\] takes its id from \[list\], which is absent"),
        (('token = "data.0.token"', ""), r"\[sign_in\] token: Field required"),
        (('send = "form"', 'send = "xml"'), r"\[sign_in\] send: .*'json' or 'form'"),
        (("{id}", "id"), r"\[item\] path"),
    ],
)
def test_a_malformed_description_gives_a_sentence(
    tmp_path: Path, change: tuple[str, str], sentence: str
) -> None:
    with pytest.raises(Unfit, match=sentence):
        read(described(tmp_path, change))


def test_a_description_that_is_absent_or_empty_gives_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Unfit, match="cannot be read"):
        read(tmp_path / "absent.toml")
    (tmp_path / "empty.toml").write_text("")
    with pytest.raises(Unfit, match="describes none of"):
        read(tmp_path / "empty.toml")


@pytest.mark.parametrize("address", ["ftp://127.0.0.1", "127.0.0.1:80", "http://"])
def test_a_wrong_url_gives_a_sentence(tmp_path: Path, address: str) -> None:
    with pytest.raises(Unfit, match=f"{re.escape(address)} is no URL"):
        requests(address, read(described(tmp_path)))


def test_a_server_that_is_away_gives_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Unfit, match=r"got no answer: .*refused\. Does the server run there"):
        requests(f"http://127.0.0.1:{free_port()}", read(described(tmp_path)))


@pytest.mark.parametrize("name", ["backstay", "bare"])
def test_the_examples_are_whole(name: str) -> None:
    found = read(Path(__file__).parents[2] / "benchmarks" / f"{name}.toml")
    assert all([found.sign_in, found.me, found.item, found.list, found.create])


def test_processes_are_found_by_their_port(url: str) -> None:
    assert os.getpid() in listening(int(url.rpartition(":")[2]))
    assert listening(free_port()) == set()


def test_the_ratio_tells_how_much_cheaper_ours_is() -> None:
    ours, theirs = (Measured(1, rate, 1, 1, cpu) for rate, cpu in ((900, 100), (300, 250)))
    assert ratio(ours, theirs, has_cpu=True) == 2.5
    assert ratio(ours, theirs, has_cpu=False) == 3
