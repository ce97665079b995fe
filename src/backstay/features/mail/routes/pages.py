"""The pages that mailed links open; to open one changes nothing, because mail scanners do it."""

from html import escape

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from backstay import AppError, Command, Invalid, LimitClass, Routes, page
from backstay.core.validation import validated
from backstay.features.mail.commands.addresses import VerifyEmail
from backstay.features.mail.commands.passwords import ForgotPassword, ResetPassword
from backstay.features.mail.queries import CheckLink
from backstay.features.mail.schemas import Purpose
from backstay.web.request import FORM
from backstay.web.state import sender_of

_RESET, _VERIFY, _FORGOT = "Choose a new password", "Confirm your e-mail address", "New password"


async def forgot_page(request: Request) -> Response:
    """Show the form that asks for the address of an account."""
    return page(_FORGOT, _email_form())


async def forgot_form(request: Request) -> Response:
    """Handle that form: request the mail."""
    fields = await _form_of(request, "email")
    try:
        accepted = await sender_of(request)(validated(ForgotPassword.model_validate, fields))
    except Invalid:
        return page(_FORGOT, _alarm("This is not an e-mail address.") + _email_form(), status=422)
    return page(_FORGOT, f"<p>{escape(accepted.detail)}</p>")


async def reset_page(request: Request) -> Response:
    """Show the form that asks for the new password, if the link is valid."""
    token = request.query_params.get("token", "")
    if not await _works(request, Purpose.RESET, token):
        return _dead(_RESET)
    return page(_RESET, _password_form(token))


async def reset_form(request: Request) -> Response:
    """Handle that form: set the new password."""
    error = await _send(request, ResetPassword, "token", "new_password")
    if error is None:
        return page(_RESET, "<p>Your new password is set. Sign in with it.</p>")
    faults = {fault.field: fault.message for fault in error.errors}
    if not isinstance(error, Invalid) or "new_password" not in faults:
        return _dead(_RESET)
    token = (await _form_of(request, "token"))["token"]
    return page(_RESET, _alarm(f"{faults['new_password']}.") + _password_form(token), status=422)


async def verify_page(request: Request) -> Response:
    """Show the button that confirms the address, if the link is valid."""
    token = request.query_params.get("token", "")
    if not await _works(request, Purpose.VERIFY, token):
        return _dead(_VERIFY)
    return page(
        _VERIFY,
        '<p class="soft">Do so only if you gave this address yourself.</p>'
        f'<form method="post" action="verify-email">{_hidden(token)}'
        "<button>Confirm the address</button></form>",
    )


async def verify_form(request: Request) -> Response:
    """Handle that button: confirm the address."""
    error = await _send(request, VerifyEmail, "token")
    if error is None:
        return page(_VERIFY, "<p>Your e-mail address is confirmed.</p>")
    if error.status == 409:
        return page(_VERIFY, _alarm("By now another account has this address."), status=409)
    return _dead(_VERIFY)


async def _send(request: Request, message: type[Command[object]], *names: str) -> AppError | None:
    """Send the message built from a form; return why it was refused, or None."""
    fields = await _form_of(request, *names)
    try:
        await sender_of(request)(validated(message.model_validate, fields))
    except AppError as error:
        if error.status >= 500:
            raise
        return error
    return None


async def _form_of(request: Request, *names: str) -> dict[str, str]:
    """The named fields of a submitted form; a missing one is empty."""
    async with request.form(max_files=0, max_fields=20) as form:
        return {name: str(form.get(name) or "") for name in names}


async def _works(request: Request, purpose: Purpose, token: str) -> bool:
    try:
        query = CheckLink(purpose=purpose, token=token)
    except ValidationError:
        return False
    return await sender_of(request)(query)


def _dead(title: str) -> Response:
    return page(
        title,
        _alarm("This link was used, has expired or is not complete.")
        + "<p>Ask for another mail, and open the link in the latest one. To set a new password, "
        '<a href="forgot-password">ask here</a>.</p>',
        status=400,
    )


def _alarm(text: str) -> str:
    return f'<p class="alarm" role="alert">{escape(text)}</p>'


def _hidden(token: str) -> str:
    return f'<input type="hidden" name="token" value="{escape(token)}">'


def _password_form(token: str) -> str:
    return (
        f'<form method="post" action="reset-password">{_hidden(token)}'
        '<label for="new_password">New password</label>'
        '<input id="new_password" name="new_password" type="password" required minlength="8" '
        'maxlength="128" autocomplete="new-password" autofocus>'
        '<p class="soft">8 to 128 characters. Every device is signed out.</p>'
        "<button>Set the password</button></form>"
    )


def _email_form() -> str:
    return (
        '<form method="post" action="forgot-password"><label for="email">E-mail address</label>'
        '<input id="email" name="email" type="email" required maxlength="254" '
        'autocomplete="email" autofocus><button>Send a link</button></form>'
    )


FORGOT = LimitClass("forgot", lambda settings: settings.security.forgot_rate_limit)
RESET = LimitClass("reset", lambda settings: settings.security.reset_rate_limit)
VERIFY = LimitClass("verify", lambda settings: settings.security.verify_rate_limit)

page_routes = Routes("", tag="pages", versioned=False)
# This page sends no message: everyone who may send the command may see its form.
page_routes.get(
    "/forgot-password", ForgotPassword, endpoint=forgot_page, name="forgot_page", is_page=True
)
page_routes.post(
    "/forgot-password",
    ForgotPassword,
    endpoint=forgot_form,
    limit=FORGOT,
    bodies={FORM: ForgotPassword},
    name="forgot_form",
    is_page=True,
)
page_routes.get("/reset-password", CheckLink, endpoint=reset_page, name="reset_page", is_page=True)
page_routes.post(
    "/reset-password",
    ResetPassword,
    endpoint=reset_form,
    limit=RESET,
    bodies={FORM: ResetPassword},
    name="reset_form",
    is_page=True,
)
page_routes.get("/verify-email", CheckLink, endpoint=verify_page, name="verify_page", is_page=True)
page_routes.post(
    "/verify-email",
    VerifyEmail,
    endpoint=verify_form,
    limit=VERIFY,
    bodies={FORM: VerifyEmail},
    name="verify_form",
    is_page=True,
)
