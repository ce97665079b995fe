"""Where the console has the users."""

from backstay import AdminView
from backstay.features.users.queries.directory import ListUsers

USERS = AdminView(list=ListUsers, group="Access")
