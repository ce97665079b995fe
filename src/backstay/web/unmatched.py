"""Counts the requests that no route of a feature takes, so that these are limited as well."""

from starlette.types import Scope

from backstay.web.state import EdgeState

DOCUMENTATION = ("/docs", "/redoc", "/openapi.json", "/docs/assets/")


async def count(scope: Scope, path: str) -> None:
    """Count a request under the default limit: of the user, else of the address.

    The documentation has a guard of its own and is not counted.

    Raises:
        RateLimited: too many.
    """
    if path in DOCUMENTATION or path.startswith(DOCUMENTATION[-1]):
        return
    edge: EdgeState = scope["app"].state.edge
    await edge.count(scope, None)
