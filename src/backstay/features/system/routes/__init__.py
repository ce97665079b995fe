"""The routes of probes, metrics and the audit trail, and the start page."""

from backstay.features.system.routes.probes import probe_routes, routes

__all__ = ["probe_routes", "routes"]
