"""Shows that a user can export all of their own data, and nobody else's."""

import json
from typing import Any

import httpx
import pytest

from backstay.composition import Backstay
from backstay.core.clock import utc_now
from backstay.core.feature import Feature
from backstay.features import STANDARD
from backstay.testing import Login, Person
from tests.features.steps import API, AUTH, ME, change_user, needs, sign_in
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

EXPORT = f"{ME}/export"


async def export(person: Person) -> dict[str, Any]:
    answer = await person.client.get(EXPORT)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_an_export_holds_the_profile(login: Login, backstay: Backstay) -> None:
    person = await login()
    await person.client.patch(ME, json={"name": "Ada"})
    assert (await export(person))["profile"] == (await person.client.get(ME)).json()
    assert (await export(person))["profile"]["roles"] == ["user"]


async def test_every_feature_contributes_what_it_names(
    login: Login, features: list[Feature]
) -> None:
    kinds = {kind for feature in features for kind in feature.personal_data}
    assert "sessions" in kinds
    assert set((await export(await login()))["data"]) == kinds


async def test_an_export_holds_ended_sessions_too(login: Login, client: httpx.AsyncClient) -> None:
    person = await login()
    other = (await sign_in(client, person.email)).json()
    await person.client.delete(f"{AUTH}/sessions/{other['session_id']}")
    sessions = (await export(person))["data"]["sessions"]
    assert [(s["id"], s["end_reason"]) for s in sessions] == [
        (person.tokens["session_id"], None),
        (other["session_id"], "ended"),
    ]
    assert sessions[0]["address"] == "192.0.2.1"
    assert sessions[0]["device"].startswith("python-httpx/")


async def test_an_export_holds_the_users_audit_rows(login: Login) -> None:
    person = await login()
    await person.client.patch(ME, json={"name": "Ada"})
    await person.client.delete(f"{API}/users/{person.id}")
    asked = (await export(person))["data"]["activity"]
    told = [(entry["message"], entry["outcome"], entry["fields"]) for entry in asked]
    assert told[-2:] == [("UpdateMe", "ok", ["name"]), ("DeleteUser", "refused", [])]
    assert {entry["address"] for entry in asked[-2:]} == {"192.0.2.1"}
    assert [entry["id"] for entry in asked] == sorted(entry["id"] for entry in asked)


@needs("items")
async def test_an_export_holds_deleted_items_too(login: Login) -> None:
    person = await login()
    for title in ("Sextant", "Octant"):
        body = {"title": title, "description": f"An old {title}"}
        created = await person.client.post(f"{API}/items", json=body)
    await person.client.delete(created.headers["location"])
    items = (await export(person))["data"]["items"]
    assert [(i["title"], i["deleted_at"] is None) for i in items] == [
        ("Sextant", True),
        ("Octant", False),
    ]
    assert items[1]["description"] == "An old Octant"


async def test_an_export_holds_nothing_of_others(login: Login) -> None:
    person, other, admin = await login(), await login(), await login("admin")
    await other.client.post(f"{API}/items", json={"title": "Astrolabe"})
    for mine in (person, admin):
        text = (await mine.client.get(EXPORT)).text
        for secret in (other.id, other.email, other.tokens["session_id"], "Astrolabe"):
            assert secret not in text


async def test_an_export_holds_no_secret(login: Login, backstay: Backstay) -> None:
    person = await login(fingerprint="a device")
    await change_user(backstay, person.id, email_verified_at=utc_now())
    exported = await export(person)
    for entry in exported["data"].get("activity", []):
        assert entry.pop("fields") is not None  # names alone
    text = json.dumps(exported)
    for secret in ("password", "hash", "$argon2", "token", "epoch", "rotations", "fingerprint"):
        assert secret not in text


async def test_an_export_is_for_its_user_only(login: Login, client: httpx.AsyncClient) -> None:
    admin, person = await login("admin"), await login()
    problem(await client.get(EXPORT), 401, "auth_error")
    problem(await admin.client.get(EXPORT, params={"user_id": person.id}), 422)
    problem(await admin.client.get(f"{API}/users/{person.id}/export"), 404)


async def test_an_export_has_an_etag(login: Login) -> None:
    person = await login()
    tag = (await person.client.get(EXPORT)).headers["etag"]
    same = await person.client.get(EXPORT, headers={"If-None-Match": tag})
    assert (same.status_code, same.content) == (304, b"")


def test_no_two_features_export_the_same_kind() -> None:
    kinds = [kind for feature in STANDARD for kind in feature.personal_data]
    assert len(kinds) == len(set(kinds)) >= 2


def test_every_export_has_the_time_of_a_command() -> None:
    questions = [question for feature in STANDARD for question in feature.personal_data.values()]
    assert questions
    assert all(question.takes_long for question in questions)
