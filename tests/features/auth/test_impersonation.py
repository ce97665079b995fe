"""Shows what an administrator may do as somebody else, how that is told, and when it ends."""

from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI

from backstay.composition import Backstay
from backstay.core.permissions import Scope
from backstay.features.access.commands.seeding import JoinRole
from backstay.testing import PASSWORD, FrozenClock, Login
from tests.features.auth.impersonating import Scene, begin, impersonate, make_support
from tests.features.granting import grant
from tests.features.route_walker import Target, places
from tests.features.steps import (
    API,
    AUTH,
    ME,
    Trail,
    change_user,
    needs,
    said,
)
from tests.web.problems import problem

pytestmark = pytest.mark.anyio


async def test_a_guest_sees_what_the_owner_sees(scene: Scene) -> None:
    tokens = scene.guest.tokens
    assert set(tokens) == {"access_token", "token_type", "expires_in", "session_id"}
    assert tokens["expires_in"] == 900
    mine, seen = [(await p.client.get(ME)).json() for p in (scene.owner, scene.guest)]
    assert mine.pop("impersonated_by") is None
    assert seen.pop("impersonated_by") == scene.support.id
    assert seen == mine


async def test_a_guest_changes_what_is_not_personal(scene: Scene) -> None:
    renamed = await scene.guest.client.patch(ME, json={"name": "Mended"})
    assert (renamed.json()["name"], renamed.json()["impersonated_by"]) == (
        "Mended",
        scene.support.id,
    )
    assert (await scene.owner.client.get(ME)).json()["name"] == "Mended"


async def test_the_owner_sees_who_was_in(scene: Scene) -> None:
    for person in (scene.owner, scene.guest):
        items = (await person.client.get(f"{AUTH}/sessions")).json()["items"]
        told = {each["id"]: each["impersonated_by"] for each in items}
        assert told == {
            scene.owner.tokens["session_id"]: None,
            scene.guest.tokens["session_id"]: scene.support.id,
        }
    export = (await scene.owner.client.get(f"{ME}/export")).json()["data"]
    assert [each["impersonated_by"] for each in export["sessions"]] == [None, scene.support.id]


async def test_nothing_personal_is_open_to_a_guest(
    scene: Scene, app: FastAPI, backstay: Backstay
) -> None:
    """Not even to act on the owner's account as an administrator, if the owner is one."""
    await backstay.system(JoinRole(user_id=UUID(scene.support.id), role="admin"))
    guest, nothing = scene.guest, str(uuid4())
    ids = guest.id, "nobody", scene.owner.tokens["session_id"]
    target, tried = Target(*ids, nothing, nothing, nothing, nothing), set()
    permissions = {p.message.permission for p in places(app)} - {None}
    keys = sorted({each.key for each in permissions if hasattr(each, "key")})
    await grant(backstay, guest.id, keys[0], Scope.ANY, *keys[1:], level=50)
    for place in places(app):
        if place.message.in_person or place.message.fresh is not None:
            body = target.body(place.name) if place.has_body else None
            path = target.path(place.template)
            answer = await guest.client.request(place.method, path, json=body)
            problem(answer, 403, "impersonated")
            tried.add(place.name)
    assert tried >= {
        *("ChangePassword", "DeleteMe", "EndSession", "EndSessions", "EndSessionsOfUser"),
        *("Reauthenticate", "ExportMe", "SetPassword", "UpdateUser", "Impersonate"),
    }
    assert not await scene.is_over()


@pytest.mark.parametrize(
    "body",
    [
        {"username": "taken.over"},
        {"email": "taken.over@example.org", "current_password": PASSWORD},
    ],
)
async def test_a_guest_does_not_change_how_the_owner_signs_in(
    scene: Scene, body: dict[str, str]
) -> None:
    before = (await scene.owner.client.get(ME)).json()
    problem(await scene.guest.client.patch(ME, json=body), 403, "impersonated")
    assert (await scene.owner.client.get(ME)).json() == before


@needs("mail")
async def test_a_guest_sends_no_mail_to_the_owner(scene: Scene) -> None:
    answer = await scene.guest.client.post(f"{AUTH}/email/verify/resend")
    problem(answer, 403, "impersonated")


async def test_nobody_acts_as_a_superuser_or_as_oneself(login: Login, backstay: Backstay) -> None:
    admin, deputy = await login("admin"), await login()
    support = await make_support(backstay, login, level=2000)
    await backstay.system(JoinRole(user_id=UUID(deputy.id), role="admin"))
    backstay.principals.forget_all()
    for sender, target in ((admin, deputy), (support, admin)):
        problem(await impersonate(sender, target.id), 403, "forbidden")
    for sender in (admin, support):
        problem(await impersonate(sender, sender.id), 403, "users.own_account")


async def test_nobody_gains_power_by_acting_as_somebody(login: Login, backstay: Backstay) -> None:
    support = await make_support(backstay, login)
    able, peer, stranger = await login(), await login(), await login()
    await grant(backstay, able.id, "users:list", level=1)
    await grant(backstay, peer.id, "items:list", Scope.OWN, level=10)
    for target in (able, peer):
        problem(await impersonate(support, target.id), 403, "forbidden")
    problem(await impersonate(stranger, able.id), 403, "forbidden")
    reaching = await login()
    await grant(backstay, reaching.id, "users:impersonate", Scope.OWN, level=10)
    problem(await impersonate(reaching, stranger.id), 403, "forbidden")


async def test_an_account_that_cannot_sign_in_has_no_guests(
    login: Login, backstay: Backstay, clock: FrozenClock
) -> None:
    admin, blocked, deleted = await login("admin"), await login(), await login()
    await change_user(backstay, blocked.id, blocked_at=clock.now)
    await change_user(backstay, deleted.id, deleted_at=clock.now)
    problem(await impersonate(admin, blocked.id), 409, "conflict")
    problem(await impersonate(admin, deleted.id), 404, "not_found")
    problem(await impersonate(admin, str(uuid4())), 404, "not_found")


async def test_an_old_proof_does_not_suffice(
    login: Login, backstay: Backstay, clock: FrozenClock
) -> None:
    support, owner = await make_support(backstay, login), await login()
    clock.forward(seconds=301)
    problem(await impersonate(support, owner.id), 401, "fresh_proof_required")


async def test_the_trail_names_both(scene: Scene, login: Login, trail: Trail) -> None:
    await trail()
    await scene.guest.client.patch(ME, json={"name": "Mended"})
    problem(await scene.guest.client.delete(f"{AUTH}/sessions"), 403, "impersonated")
    problem(await scene.guest.client.get(f"{API}/users"), 403, "forbidden")
    rows = await trail()
    assert said(rows) == [
        ("UpdateMe", "ok", None),
        ("EndSessions", "refused", "impersonated"),
        ("ListUsers", "refused", "forbidden"),
    ]
    both = {(row.user_id, row.impersonator_id, row.actor) for row in rows}
    assert both == {(UUID(scene.owner.id), UUID(scene.support.id), "user")}
    admin = await login("admin")
    found = await admin.client.get(
        f"{API}/system/activity", params={"impersonator_id": scene.support.id}
    )
    shown = found.json()["items"]
    assert {each["impersonator_id"] for each in shown} == {scene.support.id}
    assert {"UpdateMe", "EndSessions", "ListUsers"} <= {each["message"] for each in shown}


async def test_the_trail_says_who_began(
    login: Login, app: FastAPI, backstay: Backstay, trail: Trail
) -> None:
    support, owner = await make_support(backstay, login), await login()
    await trail()
    await begin(app, support, owner)
    (row,) = await trail()
    assert said([row]) == [("Impersonate", "ok", None)]
    assert (row.user_id, row.impersonator_id) == (UUID(support.id), None)
    assert row.targets == {"id": owner.id}
