"""Mail: links to reset passwords and to confirm addresses, and notices about accounts."""

from backstay import Feature, every
from backstay.features.mail import queries, routes
from backstay.features.mail.commands import addresses, links, notices, passwords, sending
from backstay.features.mail.commands.links import PurgeMailTokens

feature = Feature(
    name="mail",
    modules=(sending, links, passwords, addresses, notices, queries),
    routes=(routes.routes, routes.page_routes, routes.mailbox_routes, routes.kept_routes),
    personal_data={"mail_links": queries.ExportMailTokens},
    schedule=(every("1h", PurgeMailTokens()),),
    requires=("auth", "users"),
)
