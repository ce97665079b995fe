"""The command `routes`: shows every route with its permission, its limit and its message."""

from fastapi.routing import RouteContext

from backstay.application import application_in_use
from backstay.cli.output import print_columns
from backstay.core.permissions import PermissionSpec
from backstay.limits.classes import LimitClass
from backstay.settings import Settings
from backstay.web.dispatch import Route
from backstay.web.openapi import plain_routes

HEADER = ("METHOD", "PATH", "PERMISSION", "LIMIT", "MESSAGE")


def routes() -> None:
    """List every route with its permission, limit and message."""
    application = application_in_use()
    settings = application.load_settings()
    app = application.create_app(settings)
    rows = [_row(route, settings) for route in app.routes if isinstance(route, Route)]
    rows += map(_plain_row, plain_routes(app))
    print_columns([HEADER, *sorted(rows, key=lambda row: (row[1], row[0]))], header=True)


def _row(route: Route, settings: Settings) -> tuple[str, ...]:
    spec, policy = route.spec, route.spec.message.permission
    permission = policy.key if isinstance(policy, PermissionSpec) else policy.value
    limit = _limit(spec.limit, settings)
    return spec.method, route.path, permission, limit, spec.message.__name__


def _plain_row(route: RouteContext) -> tuple[str, ...]:
    """The row of a route that belongs to no feature, such as one of the project's own router."""
    methods = sorted(set(route.methods or ()) - {"HEAD"})
    return ",".join(methods) or "-", route.path or "-", "-", "-", "-"


def _limit(limit: LimitClass | None, settings: Settings) -> str:
    rate = limit and limit.rate_in(settings)
    name = limit.name if limit else "exempt"
    return f"{name} {rate}" if rate else name
