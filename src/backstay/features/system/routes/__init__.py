"""The routes of probes, metrics, the audit trail, operators, bulk actions, and the start page."""

from backstay.features.system.routes.bulk import bulk_routes
from backstay.features.system.routes.operations import operation_routes
from backstay.features.system.routes.probes import probe_routes, routes

__all__ = ["bulk_routes", "operation_routes", "probe_routes", "routes"]
