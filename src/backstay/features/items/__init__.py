"""Items: the reference resource, owned and softly deleted."""

from backstay import Feature
from backstay.features.items import commands, queries, routes

feature = Feature(
    name="items",
    modules=(commands, queries),
    routes=(routes.routes,),
    personal_data={"items": queries.ExportItems},
)
