"""The page that asks for the password again before something dangerous is done."""

from starlette.responses import RedirectResponse, Response

from backstay.admin.sign_in import local
from backstay.admin.visits import Visit
from backstay.core.errors import AppError, Impersonated, NotFound


async def show(visit: Visit) -> Response:
    """Ask for the password."""
    await visit.count()
    return visit.page("fresh.html", next=visit.given.get("next", ""))


async def prove(visit: Visit) -> Response:
    """Check the password, and go back to where it was asked for."""
    operation = visit.catalog.acts.get("reauthenticate")
    if operation is None:
        raise NotFound
    target = visit.form.get("next", "")
    try:
        await visit.send(operation, {}, [], {"password": visit.form.get("password", "")})
    except AppError as error:
        if error.status not in {401, 403, 422}:
            raise
        problem = error.title if isinstance(error, Impersonated) else "This is not your password."
        return visit.page("fresh.html", status=error.status, next=target, problem=problem)
    return RedirectResponse(local(target), 303)
