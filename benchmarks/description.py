"""What a description of another server says, and the requests that follow from it."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request as Asked
from urllib.request import urlopen

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmarks.load import Request

SECONDS = 10
"""How long a first request may take."""
_TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded"}
_Form = Literal["json", "form"]
_Path = Field(pattern="^/", description="Begins with a slash; it is appended to the URL.")


class Unfit(Exception):
    """The server, or its description, cannot be measured; the text says what to do about it."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SignIn(_Table):
    """How to get a token, and how to send it in the header ``Authorization``."""

    path: str = _Path
    send: _Form = "json"
    fields: dict[str, str]
    token: str
    scheme: str = "Bearer"


class Read(_Table):
    """One GET request."""

    path: str = _Path


class Create(_Table):
    """One POST request that makes an item."""

    path: str = _Path
    send: _Form = "json"
    body: dict[str, Any]


class Item(_Table):
    """A GET request with ``{id}`` in its path: the id is taken from an answer of another table."""

    path: str = Field(pattern=r"^/.*\{id\}")
    source: Literal["list", "create"] = Field(alias="from")
    id: str


class Description(_Table):
    """A description file. A table that is absent is not measured.

    Places in an answer are names of JSON objects and numbers in lists, from 0, separated by dots.
    """

    sign_in: SignIn | None = None
    me: Read | None = None
    item: Item | None = None
    list: Read | None = None
    create: Create | None = None

    @model_validator(mode="after")
    def _has_what_it_names(self) -> "Description":
        if self.item and getattr(self, self.item.source) is None:
            raise ValueError(f"[item] takes its id from [{self.item.source}], which is absent")
        if not (self.me or self.item or self.list or self.create):
            raise ValueError("it describes none of [me], [item], [list] and [create]")
        return self


def read(path: Path) -> Description:
    """Read a description.

    Raises:
        Unfit: the file cannot be read, is not TOML, or says something else than it may.
    """
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Unfit(f"{path} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise Unfit(f"{path} is not TOML: {error}.") from error
    try:
        return Description.model_validate(found)
    except ValidationError as error:
        lines = [f"{path}: {_told(each['loc'], each['msg'])}." for each in error.errors()]
        raise Unfit("\n".join(lines)) from error


def requests(url: str, description: Description) -> dict[str, Request]:
    """Sign in, look for an item, try each request once, and return all by the names of tables.

    Raises:
        Unfit: something is not as the description says.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unfit(f"{url} is no URL of a server: it begins with http:// and a host.")
    base, headers = url.rstrip("/"), _signed_in(url.rstrip("/"), description.sign_in)
    made: dict[str, Request] = {}
    if description.me:
        made["me"] = Request(base + description.me.path, headers=headers)
    if description.list:
        made["list"] = Request(base + description.list.path, headers=headers)
    if new := description.create:
        made["create"] = _post(base + new.path, new.send, new.body, headers)
    answers = {name: _answer(f"[{name}]", request) for name, request in made.items()}
    if item := description.item:
        found = _at(f"[item] `id`, in the answer of [{item.source}]", answers[item.source], item.id)
        path = item.path.replace("{id}", str(found))
        made["item"] = Request(base + path, headers=headers)
        _answer("[item]", made["item"])
    return {name: made[name] for name in ("me", "item", "list", "create") if name in made}


def _signed_in(base: str, how: SignIn | None) -> dict[str, str]:
    if how is None:
        return {}
    answer = _answer("[sign_in]", _post(base + how.path, how.send, how.fields, {}))
    token = _at("[sign_in] `token`", answer, how.token)
    return {"Authorization": f"{how.scheme} {token}".strip()}


def _post(url: str, form: _Form, fields: Mapping[str, Any], headers: dict[str, str]) -> Request:
    body = json.dumps(fields) if form == "json" else urlencode(fields)
    return Request(url, "POST", body, headers | {"Content-Type": _TYPES[form]})


def _answer(table: str, request: Request) -> Any:
    """The JSON that one request is answered with."""
    asked = f"{table}: {request.method} {request.url}"
    body = request.body.encode() or None
    sent = Asked(request.url, body, request.headers, method=request.method)
    try:
        with urlopen(sent, timeout=SECONDS) as answer:
            return json.loads(answer.read())
    except HTTPError as error:
        error.close()
        raise Unfit(f"{asked} was answered with {error.code}{_mend(table, error.code)}") from error
    except (URLError, HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        raise Unfit(f"{asked} got no answer: {reason}. Does the server run there?") from error
    except ValueError as error:
        raise Unfit(f"{asked} was answered with something that is not JSON.") from error


def _mend(table: str, status: int) -> str:
    if status in (404, 405):
        return f": there is no such route. Correct `path` in {table}."
    if status == 429:
        return ": too many requests. Switch off its rate limits."
    if table == "[sign_in]":
        return ": the sign-in was refused. Look at `fields` and `send` in [sign_in]."
    if status in (401, 403):
        return ": it wants somebody else to be signed in. Look at [sign_in]."
    return "."


def _at(what: str, answer: Any, place: str) -> Any:
    """The value at a place of an answer."""
    found = answer
    for step in place.split("."):
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        else:
            raise Unfit(f"{what}: there is no {step} of {place}; there is {_has(found)}.")
    if not isinstance(found, str | int) or found == "":
        raise Unfit(f"{what}: {place} is {_has(found)}, no text and no number.")
    return found


def _has(value: Any) -> str:
    """What is there, without any value: it might be secret."""
    if isinstance(value, dict):
        return f"an object with {', '.join(sorted(value)) or 'nothing'}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"a {type(value).__name__}" if value else "nothing"


def _told(place: Sequence[int | str], message: str) -> str:
    table, *keys = map(str, place) if place else ("",)
    named = f"[{table}] " if table else ""
    return f"{named}{'.'.join(keys)}{': ' if keys else ''}{message.removeprefix('Value error, ')}"
