"""Builds messages (RFC 5322) of mails so that no value in a mail can add a header."""

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import make_msgid, parseaddr

from email_validator import validate_email

from backstay.core.mail import Mail, MailRefused, ascii_domain


def message_of(mail: Mail, sender: str, now: datetime) -> EmailMessage:
    """A message with the text and, for mail clients that can show it, the HTML.

    Domains are written in ASCII (RFC 5890). Only a local part with other characters therefore needs
    a server with SMTPUTF8 (RFC 6531).

    Raises:
        MailRefused: the recipient is not an address, or the subject has more than one line.
    """
    name, address = parseaddr(sender)
    local_part, _, domain = address.rpartition("@")
    try:
        recipient = validate_email(mail.recipient, check_deliverability=False)
        message = EmailMessage(policy=SMTP if recipient.local_part.isascii() else SMTPUTF8)
        message["To"] = Address("", recipient.local_part, recipient.ascii_domain)
        message["From"] = Address(name, addr_spec=f"{local_part}@{ascii_domain(domain)}")
        message["Subject"] = mail.subject
    except ValueError as error:
        raise MailRefused from error
    message["Date"] = now
    message["Message-ID"] = make_msgid(domain=ascii_domain(domain))
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message
