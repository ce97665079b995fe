"""Mails in the form in which they travel (RFC 5322); nothing in one can add a header."""

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import make_msgid, parseaddr

from email_validator import validate_email

from backstay.core.mail import Mail, MailRefused


def message_of(mail: Mail, sender: str, now: datetime) -> EmailMessage:
    """A message with the text and, for readers that can show it, the HTML.

    Raises:
        MailRefused: the recipient is no address, or the subject has more than one line.
    """
    message = EmailMessage(policy=SMTP if mail.recipient.isascii() else SMTPUTF8)
    name, address = parseaddr(sender)
    try:
        recipient = validate_email(mail.recipient, check_deliverability=False)
        message["To"] = Address("", recipient.local_part, recipient.ascii_domain)
        message["From"] = Address(name, addr_spec=address)
        message["Subject"] = mail.subject
    except ValueError as error:
        raise MailRefused from error
    message["Date"] = now
    message["Message-ID"] = make_msgid(domain=address.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message
