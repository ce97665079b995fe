"""Shows that routes that could not answer, or would answer wrongly, stop the boot."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter

from backstay.application import create_app
from backstay.composition import compose
from backstay.core.bus import handles
from backstay.core.messages import Command, FromPath, Query, View
from backstay.core.permissions import PUBLIC
from backstay.core.wiring import BootError, Code, Place
from backstay.features import STANDARD
from backstay.limits.classes import GENERAL, LimitClass
from backstay.testing import settings_with
from backstay.web.routes import Routes
from tests.architecture.booting import Faults, feature


class RigView(View):
    id: int


class GetRig(Query[RigView]):
    permission = PUBLIC

    id: FromPath[int]


@handles(GetRig)
async def get_rig(query: GetRig) -> RigView:
    return RigView(id=query.id)


class FindRigs(Query[RigView]):
    permission = PUBLIC

    text: str = ""


@handles(FindRigs)
async def find_rigs(query: FindRigs) -> RigView:
    raise NotImplementedError


class MakeRig(Command[RigView]):
    permission = PUBLIC

    name: str = ""


@handles(MakeRig)
async def make_rig(command: MakeRig) -> RigView:
    raise NotImplementedError


class NameRig(Command[RigView]):
    permission = PUBLIC

    id: int
    name: str


@handles(NameRig)
async def name_rig(command: NameRig) -> RigView:
    raise NotImplementedError


class CountRigs(Command[dict[str, int]]):
    permission = PUBLIC


@handles(CountRigs)
async def count_rigs(command: CountRigs) -> dict[str, int]:
    raise NotImplementedError


class Wipe(Command[None]):
    permission = PUBLIC


@handles(Wipe)
async def wipe(command: Wipe) -> None: ...


class Unheard(Command[None]):
    permission = PUBLIC


MEMBERS = (
    GetRig,
    get_rig,
    FindRigs,
    find_rigs,
    MakeRig,
    make_rig,
    NameRig,
    name_rig,
    CountRigs,
    count_rigs,
    Wipe,
    wipe,
)
Say = Callable[[Routes], None]


def rigs(*said: Say) -> Any:
    routes = Routes("/rigs", tag="rigs")
    for say in said:
        say(routes)
    return feature(*MEMBERS, routes=(routes,))


def test_sound_routes_start(tmp_path: Path) -> None:
    """A search that is too long for a URL may be posted."""
    sound = rigs(
        lambda r: r.get("/{id}", GetRig),
        lambda r: r.get("/by-number/{number}", GetRig, path_names={"number": "id"}, name="other"),
        lambda r: r.post("", MakeRig, location="/rigs/{id}"),
        lambda r: r.post("/search", FindRigs),
        lambda r: r.get("/files/{id}.json", GetRig, name="as_json"),
        lambda r: r.get("/files/{id}.xml", GetRig, name="as_xml"),
        lambda r: r.get("/files/{id}", GetRig, name="as_file"),
        lambda r: r.delete("/all", Wipe),
    )
    settings = settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path)
    compose(settings, [*STANDARD, sound]).passwords.close()


TWICE = Code.ROUTE_TWICE
WRONG: dict[str, tuple[Code, Say]] = {
    "a path without a slash": (Code.ROUTE_PATH, lambda r: r.get("x/{id}/", GetRig)),
    "a query in the path": (Code.ROUTE_PATH, lambda r: r.get("/{id}?all=true", GetRig)),
    "a placeholder that is open": (Code.ROUTE_PATH, lambda r: r.get("/{id", GetRig)),
    "a placeholder with spaces": (Code.ROUTE_PATH, lambda r: r.get("/{ id }", GetRig)),
    "a handler instead of its message": (
        Code.ROUTE_NO_MESSAGE,
        lambda r: r.get("/{id}", get_rig),  # type: ignore[arg-type]
    ),
    "a view": (Code.ROUTE_NO_MESSAGE, lambda r: r.get("/{id}", RigView)),  # type: ignore[arg-type]
    "what is sent itself": (
        Code.ROUTE_NO_MESSAGE,
        lambda r: r.post("", MakeRig()),  # type: ignore[arg-type]
    ),
    "a message of nobody": (Code.ROUTE_NO_HANDLER, lambda r: r.post("/unheard", Unheard)),
    "no such field": (Code.ROUTE_PLACEHOLDER, lambda r: r.get("/{text}/x", FindRigs)),
    "a field of the body": (Code.ROUTE_PLACEHOLDER, lambda r: r.patch("/{id}", NameRig)),
    "a name that is not there": (
        Code.ROUTE_PLACEHOLDER,
        lambda r: r.get("/{id}", GetRig, path_names={"number": "id"}),
    ),
    "a field from nowhere": (Code.ROUTE_PLACEHOLDER, lambda r: r.get("/one", GetRig)),
    "a place without a field": (
        Code.ROUTE_LOCATION,
        lambda r: r.post("", MakeRig, location="/rigs/{number}"),
    ),
    "a place in what has no fields": (
        Code.ROUTE_LOCATION,
        lambda r: r.post("/all", Wipe, location="/rigs/{id}"),
    ),
    "a place in what is no view": (
        Code.ROUTE_RESULT,
        lambda r: r.post("", CountRigs, location="/rigs/{id}"),
    ),
    "a result that is no view": (Code.ROUTE_RESULT, lambda r: r.post("", CountRigs)),
    "GET of a command": (Code.ROUTE_METHOD, lambda r: r.get("", MakeRig)),
    "PUT of a query": (Code.ROUTE_METHOD, lambda r: r.put("", FindRigs)),
    "DELETE of a query": (Code.ROUTE_METHOD, lambda r: r.delete("", FindRigs, status=200)),
    "a query that creates": (
        Code.ROUTE_STATUS,
        lambda r: r.post("", FindRigs, location="/rigs/{id}"),
    ),
    "success that is none": (Code.ROUTE_STATUS, lambda r: r.post("", MakeRig, status=404)),
    "an answer without a body": (Code.ROUTE_STATUS, lambda r: r.delete("", MakeRig)),
    "an unknown limit": (Code.ROUTE_LIMIT, lambda r: r.get("", FindRigs, limit="often")),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", WRONG)
def test_a_route_that_could_not_answer_is_refused(faults: Faults, name: str) -> None:
    code, say = WRONG[name]
    found = faults(rigs(say))
    assert {fault.code for fault in found} == {code}
    assert found[0].where.startswith("tests/architecture/test_boot_routes.py:")
    assert " or " not in found[0].problem or code is not Code.ROUTE_LOCATION


def test_two_routes_that_differ_only_in_placeholder_names_are_refused(
    faults: Faults,
) -> None:
    by_number = {"number": "id"}
    first = rigs(lambda r: r.get("/{id}", GetRig))
    second = Routes("/rigs", tag="rigs")
    second.get("/{number}", GetRig, path_names=by_number, name="by_number")
    row = second.specs[0].place
    found = faults(feature(*MEMBERS, routes=(*first.routes, second)))
    (fault,) = found
    assert (fault.code, fault.where) == (TWICE, str(Place.of(second.specs[0])))
    assert row.line == Place.of(second).line + 1
    assert fault.problem.startswith(
        "GET /api/v1/rigs/{number} is routed twice, first as /api/v1/rigs/{id} at tests/"
    )
    assert fault.hint == "Remove one of them."


def test_a_placeholder_also_matches_paths_with_a_file_extension(faults: Faults) -> None:
    (fault,) = faults(
        rigs(lambda r: r.get("/{id}", GetRig), lambda r: r.get("/{id}.json", GetRig, name="json"))
    )
    assert fault.problem.startswith("GET /api/v1/rigs/{id}.json is routed twice, first as /api/v1")


def test_two_operations_have_two_names(faults: Faults) -> None:
    (fault,) = faults(rigs(lambda r: r.get("", FindRigs), lambda r: r.post("/x", FindRigs)))
    assert fault.code is Code.ROUTE_OPERATION_TWICE
    assert "is the operation find_rigs, as GET /api/v1/rigs at tests/" in fault.problem


def test_a_route_limit_must_be_a_limit_class(faults: Faults) -> None:
    (fault,) = faults(rigs(lambda r: r.get("", FindRigs, limit="login")))  # type: ignore[arg-type]
    assert fault.code is Code.ROUTE_LIMIT
    assert LimitClass.__name__ in fault.hint


@pytest.mark.parametrize("name", ["launch", GENERAL.name])
def test_limit_classes_have_names_of_their_own(tmp_path: Path, name: str) -> None:
    first = LimitClass(name, lambda settings: settings.security.login_rate_limit)
    second = LimitClass(name, lambda settings: settings.security.refresh_rate_limit)
    known = first if name != GENERAL.name else GENERAL
    launched = rigs(
        lambda r: r.post("", MakeRig, limit=known), lambda r: r.get("", FindRigs, limit=second)
    )
    settings = settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path)
    with pytest.raises(BootError) as caught:
        create_app(settings, [*STANDARD, launched])
    (fault,) = caught.value.faults
    assert fault.code is Code.ROUTE_LIMIT_TWICE
    assert fault.where == str(second.place)
    assert str(known.place) in fault.problem


def test_a_route_of_a_feature_hides_no_other(tmp_path: Path) -> None:
    """Neither a route of an included (or nested) router nor one of the documentation."""
    inner, outer = APIRouter(prefix="/rigs"), APIRouter(prefix="/api/v1")

    @inner.get("/{number}")
    async def show(number: int) -> int:
        return number

    @inner.get("/largest")
    async def show_largest() -> int:
        return 1

    @outer.put("/rigs/{number}")
    async def replace(number: int) -> int:
        return number

    @outer.get("/rigs/{number}/name")
    async def name(number: int) -> str:
        return ""

    outer.include_router(inner)
    docs = Routes("", tag="rigs", versioned=False)
    docs.get("/docs", FindRigs)
    rig = rigs(lambda r: r.get("/{id}", GetRig))
    settings = settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path)
    hiding = feature(*MEMBERS, routes=(*rig.routes, docs))
    with pytest.raises(BootError) as caught:
        create_app(settings, [*STANDARD, hiding], routers=[outer])
    before = "GET /api/v1/rigs/{id} is before"
    assert {(fault.code, fault.problem) for fault in caught.value.faults} == {
        (TWICE, f"{before} GET /api/v1/rigs/{{number}} of no feature, which nobody reaches."),
        (TWICE, f"{before} GET /api/v1/rigs/largest of no feature, which nobody reaches."),
        (TWICE, f"{before} PUT /api/v1/rigs/{{number}} of no feature, which nobody reaches."),
        (TWICE, "GET /docs is before GET /docs of no feature, which nobody reaches."),
    }
