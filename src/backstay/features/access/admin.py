"""The page of the console on what roles may do."""

from backstay import AdminPage
from backstay.features.access.queries.roles import GetMatrix

MATRIX = AdminPage(path="matrix", title="Roles matrix", query=GetMatrix, template="matrix.html")
