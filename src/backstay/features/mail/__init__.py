"""Mail, and what it is for: passwords that were forgotten, addresses to be confirmed."""

from backstay.core.feature import Feature
from backstay.core.schedule import every
from backstay.features.mail import queries
from backstay.features.mail.commands import addresses, links, passwords, sending
from backstay.features.mail.commands.links import PurgeMailTokens
from backstay.features.mail.routes import mailbox_routes, page_routes, routes

feature = Feature(
    name="mail",
    modules=(sending, links, passwords, addresses, queries),
    routes=(routes, page_routes, mailbox_routes),
    exports={"mail_links": queries.ExportMailTokens},
    schedule=(every("1h", PurgeMailTokens()),),
    requires=("users",),
)
