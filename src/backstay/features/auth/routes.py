"""The routes of authentication, which read and write cookies and the other forms of tokens."""

import re
from secrets import token_urlsafe
from typing import Any

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from backstay.core.errors import FieldError, Forbidden, Invalid, Unauthenticated
from backstay.core.representation import Representation
from backstay.core.validation import validated
from backstay.features.auth.commands.devices import KEPT
from backstay.features.auth.commands.impersonation import Impersonate
from backstay.features.auth.commands.password import ChangePassword
from backstay.features.auth.commands.reauthentication import Reauthenticate
from backstay.features.auth.commands.refresh import RefreshSession
from backstay.features.auth.commands.sign_in import Login
from backstay.features.auth.commands.sign_out import (
    EndSession,
    EndSessionOfUser,
    EndSessions,
    EndSessionsOfUser,
    Logout,
)
from backstay.features.auth.queries.devices import ListDevicesOfUser
from backstay.features.auth.queries.principals import GetKeySet
from backstay.features.auth.queries.sessions import (
    ListLiveSessions,
    ListSessions,
    ListSessionsOfUser,
)
from backstay.features.auth.schemas import (
    MOST_TOKENS,
    LoginForm,
    RefreshBody,
    RefreshForm,
    TokenAnswer,
)
from backstay.limits.classes import LimitClass
from backstay.web.oauth import UNSUPPORTED
from backstay.web.request import FORM, JSON, bearer_token, media_type_of
from backstay.web.route_spec import BEARER
from backstay.web.routes import Routes
from backstay.web.state import edge_of, sender_of

COOKIE = "refresh_token"
DEVICE_COOKIE = "device"
_DEVICE_ID = re.compile(r"[\w-]{22}", re.ASCII)
_IGNORED = ("scope", "client_id", "client_secret")
_OPTIONAL = TypeAdapter(RefreshBody | None)


async def log_in(request: Request) -> Response:
    """Sign in with JSON or with the password form of OAuth2 (RFC 6749, 4.3)."""
    if media_type_of(request.scope) == FORM:
        fields = await _form(request, "password", needs_type=False)
        fields.pop("grant_type", None)
        if "login" not in fields and fields.get("username"):
            fields["login"] = fields.pop("username")
        message = validated(Login.model_validate, {"transport": "body", **fields})
    else:
        message = validated(Login.model_validate_json, await request.body())
    in_cookie = message.transport == "cookie"
    if in_cookie:
        _check_origin(request)
    known = _known_device(request)
    device = known or (token_urlsafe(16) if in_cookie else "")
    answer = await sender_of(request, device_id=device, device_is_new=not known)(message)
    response = _answer(request, answer, in_cookie=in_cookie)
    if in_cookie:
        _set_cookie(request, response, DEVICE_COOKIE, device, int(KEPT.total_seconds()))
    return response


async def refresh(request: Request) -> Response:
    """Rotate the token of the body, else of the Authorization header, else of a cookie.

    In the form of OAuth2 (RFC 6749, 6) the token must be a field. Pages of other sites can send a
    form too, and browsers would add the cookie to it.
    """
    if media_type_of(request.scope) == FORM:
        fields = await _form(request, "refresh_token")
        body: RefreshBody = validated(RefreshForm.model_validate, fields)
    else:
        body = await _optional_body(request)
    bearer = bearer_token(request.headers.get("authorization"))
    if bearer and "." in bearer:
        bearer = None  # an access token, which clients send with every request
    token = body.refresh_token or bearer
    tokens = [token] if token else _tokens(request)
    if not tokens:
        raise Unauthenticated("Send a refresh token.")
    found = {"tokens": tuple(tokens), "fingerprint": body.fingerprint}
    answer = await sender_of(request)(validated(RefreshSession.model_validate, found))
    return _answer(request, answer, in_cookie=token is None)


async def log_out(request: Request) -> Response:
    """End the session of the first usable token, and clear the cookie."""
    body = await _optional_body(request)
    bearer = bearer_token(request.headers.get("authorization"))
    found = [body.refresh_token, bearer, *_tokens(request)]
    fields = {"tokens": tuple(filter(None, found)), "fingerprint": body.fingerprint}
    await sender_of(request)(validated(Logout.model_validate, fields))
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path=_cookie_path(request))
    return response


async def _optional_body(request: Request) -> RefreshBody:
    given = await request.body() or b"null"
    return validated(_OPTIONAL.validate_json, given) or RefreshBody()


async def _form(request: Request, grant_type: str, *, needs_type: bool = True) -> dict[str, Any]:
    """The fields of a token request's form; with ``needs_type`` it must name this grant type.

    Raises:
        Invalid: the grant type is missing or another one, or a field is repeated (RFC 6749, 3.2).
    """
    async with request.form(max_files=0, max_fields=20) as form:
        repeated = [name for name in form if len(form.getlist(name)) > 1]
        fields = {name: value for name, value in form.items() if name not in _IGNORED}
    if repeated:
        once = "Give this parameter once"
        raise Invalid(errors=tuple(FieldError(n[:200], "repeated", once) for n in repeated))
    given = fields.get("grant_type", None if needs_type else grant_type)
    if given is None:
        raise Invalid(errors=(FieldError("grant_type", "missing", "Field required"),))
    if given != grant_type:
        raise Invalid(errors=(FieldError(*UNSUPPORTED, f"Input should be '{grant_type}'"),))
    return fields


def _answer(request: Request, answer: TokenAnswer, *, in_cookie: bool) -> Response:
    if not in_cookie:
        return Response(Representation.of(answer).body, media_type=JSON)
    bare = answer.model_copy(update={"refresh_token": None, "refresh_expires_in": None})
    response = Response(Representation.of(bare).body, media_type=JSON)
    token, lifetime = answer.refresh_token or "", answer.refresh_expires_in
    _set_cookie(request, response, COOKIE, token, lifetime)
    return response


def _set_cookie(
    request: Request, response: Response, name: str, value: str, lifetime: int | None
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=lifetime,
        path=_cookie_path(request),
        secure=edge_of(request).secure_cookies,
        httponly=True,
        samesite="lax",
    )


def _known_device(request: Request) -> str | None:
    """The id in the first device cookie that has the form of one."""
    return next(filter(_DEVICE_ID.fullmatch, _cookies(request, DEVICE_COOKIE)), None)


def _cookie_path(request: Request) -> str:
    """The path of cookies: that of these routes without the last segment."""
    return str(request.scope["path"]).rpartition("/")[0]


def _tokens(request: Request) -> list[str]:
    """The refresh tokens of the first ``MOST_TOKENS`` cookies.

    Raises:
        Forbidden: ``Origin`` is neither this application's nor allowed.
    """
    tokens = _cookies(request, COOKIE)[:MOST_TOKENS]
    if tokens:
        _check_origin(request)
    return tokens


def _cookies(request: Request, name: str) -> list[str]:
    """The distinct, non-empty values of all cookies of one name.

    Their order is the browser's, which sends longer paths first (RFC 6265, 5.4).
    """
    lines = request.headers.getlist("cookie")
    pairs = (pair.partition("=") for line in lines for pair in line.split(";"))
    values = (value.strip().strip('"') for given, _, value in pairs if given.strip() == name)
    return list(dict.fromkeys(filter(None, values)))


def _check_origin(request: Request) -> None:
    """Refuse another site: it may neither use the cookie nor replace it with a token of its choice.

    Raises:
        Forbidden: a value of ``Origin`` is neither this application's nor allowed.
    """
    if not edge_of(request).knows_origin(request):
        raise Forbidden("This origin may not use the cookie.")


_IN_COOKIE = {"refresh_cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE}}
_AS_BEARER = {
    "refresh_token": {
        "type": "http",
        "scheme": "bearer",
        "description": "The refresh token, where it is not in the body.",
    }
}

LOGIN = LimitClass("login", lambda settings: settings.security.login_rate_limit)
REFRESH = LimitClass("refresh", lambda settings: settings.security.refresh_rate_limit)
LOGOUT = LimitClass("logout", lambda settings: settings.security.logout_rate_limit)

routes = Routes(
    "/auth", tag="auth", about="Sign in, refresh, sign out; sessions, passwords, addresses."
)
routes.post(
    "/login",
    Login,
    endpoint=log_in,
    limit=LOGIN,
    bodies={JSON: Login, FORM: LoginForm},
    cookies={DEVICE_COOKIE: "A browser that has signed in before."},
    sets_cookies=True,
    grants_tokens=True,
    refuses=(401, 403),
)
routes.post(
    "/refresh",
    RefreshSession,
    endpoint=refresh,
    limit=REFRESH,
    bodies={JSON: RefreshBody, FORM: RefreshForm},
    credentials=_AS_BEARER | _IN_COOKIE,
    sets_cookies=True,
    grants_tokens=True,
    refuses=(401, 403),
)
routes.post(
    "/logout",
    Logout,
    endpoint=log_out,
    limit=LOGOUT,
    essential=True,
    bodies={JSON: RefreshBody},
    credentials={BEARER: None, **_AS_BEARER, **_IN_COOKIE},
    sets_cookies=True,
    status=204,
    refuses=(401, 403),
)
routes.get("/sessions", ListSessions)
routes.delete("/sessions", EndSessions, essential=True)
routes.delete("/sessions/{id}", EndSession, essential=True)
routes.post("/password/change", ChangePassword, limit=LOGIN, status=204)
routes.post("/fresh", Reauthenticate, limit=LOGIN, status=204)

user_routes = Routes("/users", tag="auth")
user_routes.post("/{id}/impersonate", Impersonate)
user_routes.get("/{id}/sessions", ListSessionsOfUser)
user_routes.delete("/{id}/sessions", EndSessionsOfUser, essential=True)
user_routes.delete("/{id}/sessions/{session_id}", EndSessionOfUser, essential=True)
user_routes.get("/{id}/devices", ListDevicesOfUser)

session_routes = Routes("/sessions", tag="auth")
session_routes.get("", ListLiveSessions)

key_routes = Routes("", tag="auth", versioned=False)
key_routes.get("/.well-known/jwks.json", GetKeySet)
