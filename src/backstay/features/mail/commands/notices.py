"""Subscribers that notify the owner of an account, so that others cannot use it unnoticed."""

from uuid import UUID

from backstay import subscribes
from backstay.features.auth.events import NewDeviceSignedIn, RefreshTokenCopied
from backstay.features.mail.commands.sending import SendMail
from backstay.features.mail.schemas import Template
from backstay.features.users.events import EmailReplaced, PasswordReplaced

_PROGRAMS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "SamsungBrowser/": "Samsung Internet",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "Chrome/": "Chrome",
    "CriOS/": "Chrome",
    "Safari/": "Safari",
    "curl/": "curl",
    "okhttp/": "okhttp",
    "Go-http-client/": "Go",
    "axios/": "axios",
    "python": "Python",
    "node": "Node.js",
}
"""The first of these marks in a user agent names the program: most user agents also name others."""
_SYSTEMS = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Macintosh": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


@subscribes(PasswordReplaced)
def tell_of_password(event: PasswordReplaced) -> SendMail:
    return SendMail(
        template=Template.PASSWORD_REPLACED,
        recipient=event.email,
        account_id=_about(event.user_id, is_confirmed=event.is_confirmed),
        values={"by": event.by.value},
    )


@subscribes(NewDeviceSignedIn)
def tell_of_device(event: NewDeviceSignedIn) -> SendMail:
    return SendMail(
        template=Template.NEW_DEVICE,
        recipient=event.email,
        account_id=_about(event.user_id, is_confirmed=event.is_confirmed),
        values={"device": named(event.device), "address": event.address},
    )


@subscribes(RefreshTokenCopied)
def tell_of_copy(event: RefreshTokenCopied) -> SendMail:
    ended = "yes" if event.ended else ""
    return SendMail(
        template=Template.TOKEN_COPIED,
        recipient=event.email,
        account_id=_about(event.user_id, is_confirmed=event.is_confirmed),
        values={"device": named(event.device), "address": event.address, "ended": ended},
    )


@subscribes(EmailReplaced)
def tell_former_address(event: EmailReplaced) -> SendMail | None:
    if event.former is None:  # an event of an older version, which did not have the address
        return None
    about = _about(event.user_id, is_confirmed=event.was_confirmed)
    return SendMail(template=Template.EMAIL_REPLACED, recipient=event.former, account_id=about)


def _about(user_id: UUID, *, is_confirmed: bool) -> UUID | None:
    """The account under which a notice is counted; None if the address is not confirmed.

    Such a notice is counted under the address, which may be a stranger's.
    """
    return user_id if is_confirmed else None


def named(user_agent: str) -> str:
    """The known program and system that a user agent names; empty if there are none.

    The user agent itself is never mailed: a stranger who signs in can choose that text, and it
    would appear in a mail of the application.
    """
    marks = (_PROGRAMS, _SYSTEMS)
    found = [next((n for mark, n in each.items() if mark in user_agent), "") for each in marks]
    return ", ".join(filter(None, found))
