"""People: registration, profiles, the directory of users."""

from backstay.core.feature import Feature
from backstay.features.users import queries
from backstay.features.users.commands import accounts, admins, password
from backstay.features.users.routes import routes

feature = Feature(
    name="users",
    modules=(accounts, password, admins, queries),
    routes=(routes,),
    requires=("access",),
    foundation=True,
)
