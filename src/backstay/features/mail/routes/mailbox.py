"""The mails that a developer's machine keeps, as pages and as JSON; in `local` only."""

from datetime import datetime
from html import escape

from starlette.responses import Response

from backstay import KeptMail, Routes, linked, page
from backstay.features.mail.queries import GetKeptMail, ListKeptMails, ListMailbox, ReadKeptMail


def show_mailbox(mails: tuple[KeptMail, ...]) -> Response:
    """Show the list of all mails."""
    rows = "\n".join(
        f'<tr><td class="time">{_time(each.sent_at)}</td><td>{escape(each.mail.recipient)}</td>'
        f'<td><a href="/dev/mailbox/{each.id}">{escape(each.mail.subject)}</a></td></tr>'
        for each in mails
    )
    table = (
        "<table><thead><tr><th>Time</th><th>Recipient</th><th>Subject</th></tr></thead>"
        f"<tbody>\n{rows}\n</tbody></table>"
    )
    note = '<p class="soft">Mails are kept here instead of being sent (MAIL_BACKEND=file).</p>'
    return page("Mailbox", note + (table if rows else "<p>There are none yet.</p>"), wide=True)


def show_mail(kept: KeptMail) -> Response:
    """Show the text of one mail."""
    body = (
        f"<dl><dt>To</dt><dd>{escape(kept.mail.recipient)}</dd>"
        f"<dt>Time</dt><dd>{_time(kept.sent_at)}</dd></dl>"
        f"<pre>{linked(kept.mail.text)}</pre>"
        '<p><a href="/dev/mailbox">All mails</a></p>'
    )
    return page(kept.mail.subject, body, wide=True)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


mailbox_routes = Routes("/dev/mailbox", tag="pages", versioned=False)
mailbox_routes.page("", ListMailbox, show_mailbox, name="mailbox_page", is_page=True)
mailbox_routes.page("/{id}", GetKeptMail, show_mail, name="mail_page", is_page=True)

kept_routes = Routes("/system/mailbox", tag="system")
kept_routes.get("", ListKeptMails)
kept_routes.get("/{id}", ReadKeptMail)
