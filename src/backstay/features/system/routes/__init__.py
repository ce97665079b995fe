"""The routes of probes, metrics, the audit trail and operators, and the start page."""

from backstay.features.system.routes.operations import operation_routes
from backstay.features.system.routes.probes import probe_routes, routes

__all__ = ["operation_routes", "probe_routes", "routes"]
