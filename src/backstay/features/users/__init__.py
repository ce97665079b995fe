"""People: registration, profiles, the directory of users."""

from backstay.core.feature import Feature
from backstay.features.users.commands import accounts, administration, admins, password, removal
from backstay.features.users.queries import accounts as own
from backstay.features.users.queries import directory, export
from backstay.features.users.routes import routes

feature = Feature(
    name="users",
    modules=(accounts, password, admins, administration, removal, own, directory, export),
    routes=(routes,),
    requires=("access",),
    foundation=True,
)
