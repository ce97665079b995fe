"""The command `routes`: shows who may call what, how often, and what happens then."""

from collections.abc import Mapping

from starlette.routing import BaseRoute

from backstay.cli.output import print_columns
from backstay.core.permissions import PermissionSpec
from backstay.core.rates import Rate
from backstay.main import create_app
from backstay.settings import load_settings
from backstay.settings.values import write_rate
from backstay.web.dispatch import Route
from backstay.web.limits import Limit
from backstay.web.state import rates_of

HEADER = ("METHOD", "PATH", "PERMISSION", "LIMIT", "MESSAGE")


def routes() -> None:
    """List every route with its permission, limit and message."""
    settings = load_settings()
    rates = rates_of(settings)
    rows = [_row(route, rates) for route in create_app(settings).routes]
    print_columns([HEADER, *sorted(rows, key=lambda row: (row[1], row[0]))], header=True)


def _row(route: BaseRoute, rates: Mapping[Limit, Rate]) -> tuple[str, ...]:
    if isinstance(route, Route):
        spec, policy, rate = route.spec, route.spec.message.permission, rates.get(route.spec.limit)
        permission = policy.key if isinstance(policy, PermissionSpec) else policy.value
        limit = f"{spec.limit} {write_rate(rate)}" if rate else spec.limit.value
        return spec.method, route.path, permission, limit, spec.message.__name__
    methods = sorted(set(getattr(route, "methods", None) or ()) - {"HEAD"})
    return ",".join(methods) or "-", getattr(route, "path", "-"), "-", "-", "-"
