"""The adapters of mail that the settings choose."""

from pathlib import Path
from typing import Any

from backstay.adapters.mail_console import ConsoleMailer
from backstay.adapters.mail_file import FileMailer
from backstay.adapters.mail_off import NoMailer
from backstay.adapters.mail_smtp import SmtpMailer
from backstay.adapters.mail_templates_jinja import JinjaMailTemplates
from backstay.adapters.mail_tokens_hmac import HmacMailTokens
from backstay.core.mail import Mailbox, Mailer, MailTemplates, MailTokens
from backstay.core.ports import Clock
from backstay.settings import Settings


def mail_services(settings: Settings, key: bytes, clock: Clock) -> dict[Any, Any]:
    """What writes and sends mail, by port. Only a developer's machine has a mailbox to look into.

    ``key`` is the one that tokens are made with.
    """
    mail, sender = settings.mail, settings.mail.sender_of(settings.app)
    kept = FileMailer(Path(mail.dir), sender, clock)
    mailers: dict[str | None, Mailer] = {
        None: NoMailer(),
        "console": ConsoleMailer(),
        "file": kept,
        "smtp": SmtpMailer(mail, sender, clock),
    }
    return {
        Mailer: mailers[mail.chosen],
        MailTemplates: JinjaMailTemplates(settings.app.name, mail.templates_dir),
        MailTokens: HmacMailTokens(key),
        Mailbox | None: kept if settings.is_local and mail.chosen == "file" else None,
    }
