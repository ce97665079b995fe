"""Calls every route of an application with the ids of one user's data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from sqlalchemy import select

from backstay.composition import Backstay
from backstay.core.listing import ListQuery
from backstay.core.permissions import PUBLIC
from backstay.db.activity import Activity
from backstay.db.base import Base
from backstay.web.dispatch import Route
from tests.architecture.edge import routes_of
from tests.features.steps import API, OTHER_PASSWORD, execute


@dataclass(frozen=True)
class Target:
    """The ids of what belongs to a user, and of the user's role."""

    user: str
    username: str
    session: str
    item: str
    role: str
    permission: str
    field: str
    task: str = "01234567-89ab-7cde-8f01-23456789abcd"
    bulk: str = "01234567-89ab-7cde-8f01-23456789abcd"

    def path(self, template: str) -> str:
        """The path of a route with these ids."""
        kinds = {
            "/users/": self.user,
            "/items/": self.item,
            "/auth/sessions/": self.session,
            "/tasks/": self.task,
            "/system/jobs/": self.task,
            "/system/bulk/": self.bulk,
            "/tiers/": self.task,
        }
        named = next((v for kind, v in kinds.items() if template.startswith(API + kind)), "")
        return template.format(
            id=named,
            name="free",
            user_id=self.user,
            username=self.username,
            session_id=self.session,
            role_id=self.role,
            permission_id=self.permission,
            field_id=self.field,
        )

    def body(self, message: str) -> dict[str, Any] | None:
        """A valid body for the message, so that only the sender's rights can refuse it."""
        grant = {"role_id": self.role, "permission_id": self.permission}
        return {
            **_BODIES,
            "GrantPermission": {**grant, "scope": "ANY"},
            "AddFieldRule": {**grant, "field_id": self.field, "effect": "DENY"},
        }.get(message)


_BODIES: Mapping[str, dict[str, Any]] = {
    "Login": {"login": "nobody@example.org", "password": "no password", "transport": "body"},
    "RefreshSession": {"refresh_token": "no token"},
    "Logout": {"refresh_token": "no token"},
    "ChangePassword": {"current_password": "no password", "new_password": OTHER_PASSWORD},
    "Reauthenticate": {"password": "no password"},
    "RegisterUser": {"email": "somebody@example.org", "password": OTHER_PASSWORD},
    "UpdateMe": {"name": "Renamed"},
    "DeleteMe": {"current_password": "no password"},
    "UpdateUser": {"name": "Renamed", "email": "taken.over@example.org"},
    "SetPassword": {"new_password": OTHER_PASSWORD},
    "CreateItem": {"title": "Renamed"},
    "ReplaceItem": {"title": "Renamed"},
    "UpdateItem": {"title": "Renamed"},
    "CreateRole": {"name": "Created"},
    "UpdateRole": {"description": "Renamed"},
    "ChangeScope": {"scope": "ANY"},
    "ChangeFieldRule": {"effect": "ALLOW"},
    "CreateTier": {"name": "created"},
    "UpdateTier": {"description": "Renamed"},
    "AssignTier": {"tier": "free"},
    "CreateRateLimit": {"path": f"{API}/items", "limit": 1_000_000, "period": 1},
    "UpdateRateLimit": {"limit": 1_000_000},
    "StartBulk": {"operation": "end_session", "ids": ["01890a5d-ac96-774b-bcce-b302099a8057"]},
    "StartTask": {"task": "demo.count", "payload": {"steps": 1, "seconds": 0}},
    "ForgotPassword": {"email": "nobody@example.org"},
    "ResetPassword": {"token": "no token", "new_password": OTHER_PASSWORD},
    "VerifyEmail": {"token": "no token"},
}


@dataclass(frozen=True)
class Place:
    """A route."""

    method: str
    template: str
    message: type[Any]
    has_body: bool
    has_query: bool
    is_page: bool

    @property
    def name(self) -> str:
        return self.message.__name__

    @property
    def is_public(self) -> bool:
        return self.message.permission is PUBLIC

    @property
    def is_list(self) -> bool:
        return issubclass(self.message, ListQuery)

    def is_aimed(self, target: Target) -> bool:
        """Whether the route names an id of the target, in its path or its body."""
        body = target.body(self.name) or {}
        return "{" in self.template or "role_id" in body


def places(app: FastAPI) -> Iterator[Place]:
    """Every route of the application's features.

    Raises:
        LookupError: a route takes a body, and nothing here says which.
    """
    for context in routes_of(app):
        route = context.original_route
        assert isinstance(route, Route)
        message, parameters = route.spec.message, route.parameters
        place = Place(
            route.spec.method,
            route.path_format,
            message,
            parameters.has_body,
            parameters.has_query,
            route.spec.is_page,
        )
        named = {*_BODIES, "GrantPermission", "AddFieldRule"}
        if place.has_body and place.name not in named:
            raise LookupError(f"tests/features/route_walker.py: no body for {place.name}")
        yield place


async def everything(backstay: Backstay) -> dict[str, list[Any]]:
    """Every row of every table but the audit trail."""
    ours = (t for t in Base.metadata.sorted_tables if t.info.get("owner") != "tests")
    tables = [t for t in ours if t is not Activity.__table__]
    return {t.name: sorted(map(str, await execute(backstay, select(t)))) for t in tables}
