"""The routes of bulk actions."""

from backstay.features.system.commands.bulk import MOST_BYTES, CancelBulk, StartBulk
from backstay.features.system.queries.bulk import GetBulk, ListBulk
from backstay.web.routes import Routes

bulk_routes = Routes("/system/bulk", tag="system")
bulk_routes.post("", StartBulk, location="/system/bulk/{id}", status=202, max_body_bytes=MOST_BYTES)
bulk_routes.get("", ListBulk)
bulk_routes.get("/{id}", GetBulk)
bulk_routes.post("/{id}/cancel", CancelBulk)
