"""What the owner of an account is told, so that nobody else acts in it unseen."""

from backstay.core.events import subscribes
from backstay.features.auth.events import NewDeviceSignedIn, RefreshTokenCopied
from backstay.features.mail.commands.sending import SendMail
from backstay.features.mail.schemas import Template
from backstay.features.users.events import EmailReplaced, PasswordReplaced


@subscribes(PasswordReplaced)
def tell_of_password(event: PasswordReplaced) -> SendMail:
    values = {"by": event.by.value}
    return SendMail(template=Template.PASSWORD_REPLACED, recipient=event.email, values=values)


@subscribes(NewDeviceSignedIn)
def tell_of_device(event: NewDeviceSignedIn) -> SendMail:
    values = {"device": _shown(event.device), "address": event.address}
    return SendMail(template=Template.NEW_DEVICE, recipient=event.email, values=values)


@subscribes(RefreshTokenCopied)
def tell_of_copy(event: RefreshTokenCopied) -> SendMail:
    ended = "yes" if event.ended else ""
    values = {"device": _shown(event.device), "address": event.address, "ended": ended}
    return SendMail(template=Template.TOKEN_COPIED, recipient=event.email, values=values)


@subscribes(EmailReplaced)
def tell_former_address(event: EmailReplaced) -> SendMail | None:
    if event.former is None:  # published before this address was told of it
        return None
    return SendMail(template=Template.EMAIL_REPLACED, recipient=event.former)


def _shown(device: str) -> str:
    """The user agent, which its client chose, without a link and without end."""
    return device.replace("://", " ")[:120]
