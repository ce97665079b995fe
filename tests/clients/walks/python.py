"""Walks through the API with the Python client that openapi-python-client generates."""

import sys
import time
from collections.abc import Iterator
from uuid import uuid4

from backstay_client import AuthenticatedClient, Client
from backstay_client.api.auth import login, logout, refresh_session
from backstay_client.api.items import create_item, get_item, list_items, update_item
from backstay_client.api.tasks import get_task, start_task
from backstay_client.api.users import register_user
from backstay_client.models import (
    CreateItem,
    CursorPageItemSummary,
    ItemDetail,
    JobState,
    LoginBody,
    LoginBodyTransport,
    PageItemSummary,
    Problem,
    RefreshBody,
    RegisterUser,
    StartTask,
    StartTaskPayload,
    TaskDetail,
    TaskStarted,
    TokenAnswer,
    UpdateItemBody,
)
from backstay_client.types import UNSET

EMAIL, PASSWORD = "python@example.org", "correct horse battery"


def sign_in(url: str) -> tuple[AuthenticatedClient, str]:
    """Make an account and sign in; a refusal has a type, too."""
    stranger = Client(base_url=url)
    refused = register_user.sync(client=stranger, body=RegisterUser(email=EMAIL, password="short"))
    assert isinstance(refused, Problem)
    assert (refused.status, refused.code) == (422, "validation_error")
    assert [fault.field for fault in refused.errors] == ["password"]
    register_user.sync(client=stranger, body=RegisterUser(email=EMAIL, password=PASSWORD))
    credentials = LoginBody(email=EMAIL, password=PASSWORD, transport=LoginBodyTransport.BODY)
    tokens = login.sync(client=stranger, body=credentials)
    assert isinstance(tokens, TokenAnswer)
    assert isinstance(tokens.refresh_token, str)
    return AuthenticatedClient(base_url=url, token=tokens.access_token), tokens.refresh_token


def create(client: AuthenticatedClient) -> ItemDetail:
    """Create an item twice under one key: it is there once."""
    key, body = str(uuid4()), CreateItem(title="Sextant")
    item = create_item.sync(client=client, body=body, idempotency_key=key)
    again = create_item.sync_detailed(client=client, body=body, idempotency_key=key)
    assert isinstance(item, ItemDetail)
    assert again.parsed == item
    assert again.headers["Idempotent-Replayed"] == "true"
    return item


def titles(client: AuthenticatedClient) -> Iterator[str]:
    """The titles of all items, page by page."""
    cursor: str | None = None
    while True:
        page = list_items.sync(client=client, limit=2, cursor=cursor or UNSET, sort=["title"])
        assert isinstance(page, CursorPageItemSummary)
        yield from (item.title for item in page.items)
        if page.next_cursor is None:
            return
        cursor = page.next_cursor


def change(client: AuthenticatedClient, item: ItemDetail) -> None:
    """Change what nobody else has changed since, and read only what is new."""
    read = get_item.sync_detailed(item.id, client=client)
    tag = read.headers["ETag"]
    body = UpdateItemBody(title="Octant")
    changed = update_item.sync_detailed(item.id, client=client, body=body, if_match=tag)
    assert isinstance(changed.parsed, ItemDetail)
    assert changed.parsed.title == "Octant"
    stale = update_item.sync(item.id, client=client, body=body, if_match=tag)
    assert isinstance(stale, Problem)
    assert (stale.status, stale.code) == (412, "precondition_failed")
    fresh = changed.headers["ETag"]
    unchanged = get_item.sync_detailed(item.id, client=client, if_none_match=fresh)
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def follow_a_task(client: AuthenticatedClient) -> None:
    """Start a task and ask until it is done."""
    payload = StartTaskPayload.from_dict({"steps": 2, "seconds": 0})
    started = start_task.sync(client=client, body=StartTask(task="demo.count", payload=payload))
    assert isinstance(started, TaskStarted)
    while True:
        task = get_task.sync(started.id, client=client)
        assert isinstance(task, TaskDetail)
        if task.finished_at is not None:
            break
        time.sleep(0.05)
    assert task.state is JobState.SUCCEEDED


def sign_out(client: AuthenticatedClient, url: str, refresh_token: str) -> None:
    """Go on with the next token, and end the session: then no token counts."""
    tokens = refresh_session.sync(client=client, body=RefreshBody(refresh_token=refresh_token))
    assert isinstance(tokens, TokenAnswer)
    client = AuthenticatedClient(base_url=url, token=tokens.access_token)
    assert isinstance(list_items.sync(client=client), PageItemSummary)
    body = RefreshBody(refresh_token=tokens.refresh_token)
    assert logout.sync_detailed(client=client, body=body).status_code == 204
    ended = list_items.sync(client=client)
    assert isinstance(ended, Problem)
    assert ended.status == 401


def walk(url: str) -> None:
    """Everything that a user of the API does in a day."""
    client, refresh_token = sign_in(url)
    item = create(client)
    ropes = [f"Rope {number}" for number in range(1, 5)]
    for title in ropes:
        create_item.sync(client=client, body=CreateItem(title=title))
    assert list(titles(client)) == [*ropes, "Sextant"]
    change(client, item)
    follow_a_task(client)
    sign_out(client, url, refresh_token)


if __name__ == "__main__":
    walk(sys.argv[1])
