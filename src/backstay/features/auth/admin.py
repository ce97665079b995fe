"""Where the console has the sessions."""

from backstay import AdminView
from backstay.features.auth.queries.sessions import ListLiveSessions

SESSIONS = AdminView(list=ListLiveSessions, group="Access")
