"""The console's own sign-in: a sequence of steps, each of which may ask for the next one."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from backstay.admin.tables import BASE
from backstay.admin.visits import Visit
from backstay.core.errors import AppError, Invalid, NotFound, Unavailable
from backstay.core.messages import Message
from backstay.core.principal import STRANGER
from backstay.core.validation import validated
from backstay.features.auth.commands.sign_in import Login
from backstay.features.auth.commands.sign_out import Logout
from backstay.features.auth.routes import LOGIN
from backstay.features.auth.schemas import TokenAnswer
from backstay.limits.classes import SHORT_BODY_BYTES
from backstay.web.request import narrow
from backstay.web.state import edge_of, sender_of


class Step(NamedTuple):
    """A step of the sign-in: its template, and the message that a form of it sends."""

    template: str
    message: Callable[[Mapping[str, str]], Message[TokenAnswer]]


def _with_password(form: Mapping[str, str]) -> Message[TokenAnswer]:
    given = {name: form.get(name, "") for name in ("login", "password")}
    return validated(Login.model_validate, {**given, "transport": "body"})


PASSWORD = "password"  # noqa: S105
STEPS: Mapping[str, Step] = {PASSWORD: Step("sign_in.html", _with_password)}
"""By name: the steps. An error whose code is the name of one asks for it; what it says besides,
such as a challenge, is in the form of that step."""


async def show(visit: Visit) -> Response:
    """Ask for the password."""
    if visit.session is not None:
        return RedirectResponse(local(visit.given.get("next")), 303)
    await edge_of(visit.request).count(visit.request.scope, None)
    return _page(visit, PASSWORD)


async def count(request: Request) -> None:
    """Count an attempt, before its form is read, and allow the form as much as the API's.

    Raises:
        AppError: too many (429), or too large (413).
    """
    await edge_of(request).limits.by_address(request.scope, LOGIN)
    narrow(request.scope, SHORT_BODY_BYTES)


async def sign_in(visit: Visit) -> Response:
    """Take one step; the last one starts a session and sets its cookie."""
    request, edge = visit.request, edge_of(visit.request)
    step = STEPS.get(visit.form.get("step", PASSWORD))
    if step is None:
        raise NotFound
    request.scope["backstay.principal"] = STRANGER
    try:
        visit.parts.cookies.check_kept(request)
        answer = await sender_of(request)(step.message(visit.form))
    except AppError as error:
        if error.code in STEPS:
            return _page(visit, error.code)
        if error.status not in {401, 403, 422, 503}:
            raise
        return _page(visit, visit.form.get("step", PASSWORD), error)
    principal = await edge.authenticate(f"Bearer {answer.access_token}")
    await _end(visit)
    response = RedirectResponse(local(visit.form.get("next")), 303)
    visit.parts.cookies.start(response, answer.session_id, principal.id)
    return response


async def sign_out(visit: Visit) -> Response:
    """End the session; this browser loses it even if the database cannot note its end."""
    try:
        await _end(visit)
        response = visit.redirect("/sign-in")
    except Unavailable as error:
        response = visit.error(error)
    visit.parts.cookies.clear(response)
    return response


async def _end(visit: Visit) -> None:
    """End the session, also that of somebody who acts as another, as its access token could."""
    session = visit.session
    if session is not None:
        token = visit.parts.tokens.issue(session.user_id, session.session_id)
        await sender_of(visit.request)(Logout(tokens=(token,)))


def _page(visit: Visit, name: str, error: AppError | None = None) -> Response:
    problem = None
    if isinstance(error, Invalid):
        problem = "Give your login and your password."
    elif error is not None:
        problem = error.title if error.status == 401 else error.detail
    values: dict[str, Any] = {
        "step": name,
        "login": visit.form.get("login", "")[:320],
        "next": visit.form.get("next") or visit.given.get("next", ""),
    }
    status = 200 if error is None else error.status
    visit.session = None
    response = visit.page(STEPS[name].template, status=status, problem=problem, **values)
    if error is not None and "Retry-After" in error.headers:
        response.headers["Retry-After"] = error.headers["Retry-After"]
    return response


def local(target: str | None) -> str:
    """A page of the console, to which to go on; never one of another host."""
    path = f"{BASE}{target or ''}"
    parts = urlsplit(path)
    is_ours = path.startswith((f"{BASE}/", f"{BASE}?")) and "\\" not in path and "//" not in path
    is_plain = path.isascii() and path.isprintable()
    return path if is_ours and is_plain and not parts.netloc else BASE
