"""People: registration, profiles, the directory of users."""

from backstay.core.feature import Feature
from backstay.features.users import commands, queries
from backstay.features.users.routes import routes

feature = Feature(
    name="users",
    modules=(commands, queries),
    routes=(routes,),
    requires=("access",),
    foundation=True,
)
