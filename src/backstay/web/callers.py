"""The caller of a plain FastAPI route, of a router that an `Application` adds."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends
from fastapi.dependencies.models import Dependant
from starlette.requests import HTTPConnection

from backstay.core.context import Sender
from backstay.core.principal import Principal
from backstay.limits.classes import GENERAL, LimitClass
from backstay.web.request import field_of
from backstay.web.state import edge_of, sender_of


async def require_caller(request: HTTPConnection) -> Principal:
    """The signed-in caller.

    Raises:
        Unauthenticated: nobody is signed in.
    """
    found = _known(request)
    if found is not None:
        return found
    return await edge_of(request).authenticate(field_of(request.scope, b"authorization"))


async def optional_caller(request: HTTPConnection) -> Principal | None:
    """The signed-in caller, or None; as on public routes, an unusable token counts as none."""
    return _known(request)


async def sender_of_caller(
    request: HTTPConnection, _: Annotated[Principal, Depends(require_caller)]
) -> Sender:
    """Sends messages as the signed-in caller."""
    return sender_of(request)


async def sender_of_anyone(request: HTTPConnection) -> Sender:
    """Sends messages as the signed-in caller, else as nobody: such a caller may send only messages
    with the policy PUBLIC."""
    return sender_of(request)


CurrentPrincipal = Annotated[Principal, Depends(require_caller)]
"""Who asks. Without a valid token the request is answered with 401 before its body is read."""
OptionalPrincipal = Annotated[Principal | None, Depends(optional_caller)]
"""Who asks, or None."""
Send = Annotated[Sender, Depends(sender_of_caller)]
"""Sends messages as the caller, who must be signed in: ``await send(GetItem(id=id))``."""
SendAsAnyone = Annotated[Sender, Depends(sender_of_anyone)]
"""Sends messages as the caller, or as nobody. It is for routes that check their callers
themselves, such as a webhook that verifies a signature."""


def limited_by(limit: LimitClass) -> Any:
    """A dependency of routes, or of a router, whose requests count in this class per address.

    They do so before the body is read, and count in the general limit no more. The body may have
    ``limit.body_bytes``. Example: ``APIRouter(dependencies=[limited_by(EXPORTS)])``.
    """
    return Depends(_Limited(limit))


def limit_of(route: Any) -> LimitClass:
    """The limit class of a route: the last one that it, or its router, names."""
    calls = _calls(getattr(route, "dependant", None))
    return next((e.limit for e in reversed([*calls]) if isinstance(e, _Limited)), GENERAL)


class _Limited:
    """Marks a route for the edge, which counts its requests before FastAPI calls this."""

    def __init__(self, limit: LimitClass) -> None:
        self.limit = limit

    async def __call__(self) -> None:
        """Do nothing."""


def requires_caller(route: Any) -> bool:
    """Whether a route, or one of its dependencies, demands a signed-in caller."""
    return require_caller in _calls(getattr(route, "dependant", None))


def knows_caller(route: Any) -> bool:
    """Whether a route makes use of a caller, who may be nobody."""
    return not _CALLERS.isdisjoint(_calls(getattr(route, "dependant", None)))


_CALLERS = {require_caller, optional_caller, sender_of_anyone}


def _known(request: HTTPConnection) -> Principal | None:
    found: Principal | None = request.scope.get("backstay.principal")
    return found


def _calls(dependant: Dependant | None) -> Iterator[Any]:
    if dependant is not None:
        yield dependant.call
        for each in dependant.dependencies:
            yield from _calls(each)
