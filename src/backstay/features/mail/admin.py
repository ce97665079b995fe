"""The page of the console with the mails that are kept instead of sent."""

from backstay import AdminPage
from backstay.features.mail.queries import ListKeptMails

MAILBOX = AdminPage(path="mailbox", title="Mailbox", group="Operations", query=ListKeptMails)
