"""The routes of probes, metrics and the server's time, most of them at the root."""

from hmac import compare_digest

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from backstay.core.errors import NotFound, Unauthenticated
from backstay.core.representation import Representation
from backstay.features.system.queries.activity import ListActivity
from backstay.features.system.queries.minutes import ListMetricMinutes
from backstay.features.system.queries.probes import (
    GetHealth,
    GetLiveness,
    GetMetrics,
    GetReadiness,
    Ping,
)
from backstay.features.system.queries.resources import ListEditableResources
from backstay.features.system.queries.settings import ListSettings
from backstay.web.request import JSON, bearer_token
from backstay.web.routes import Routes
from backstay.web.state import INVALID, edge_of, sender_of


async def health(request: Request) -> Response:
    """200 if requests can be served, even if something optional is down; else 503."""
    result = await sender_of(request)(GetHealth())
    if result.status != "error":
        return Response(Representation.of(result).body, media_type=JSON)
    reason = "; ".join(f"{name}: {reason}" for name, reason in result.reasons.items())
    request.scope["backstay.cause"] = {"reason": reason}
    return Response(Representation.of(result).body, 503, media_type=JSON)


async def readyz(request: Request) -> Response:
    """200 if a load balancer may send requests here, else 503."""
    result = await sender_of(request)(GetReadiness())
    if result.status == "ready":
        return Response(Representation.of(result).body, media_type=JSON)
    request.scope["backstay.cause"] = {"reason": result.reason}
    return Response(Representation.of(result).body, 503, media_type=JSON)


async def metrics(request: Request) -> Response:
    """Metrics; outside `local` only for clients with the metrics token."""
    edge = edge_of(request)
    if not edge.shows_metrics:
        raise NotFound
    if edge.metrics_token is not None:
        given = bearer_token(request.headers.get("authorization")) or ""
        if not compare_digest(given.encode(), edge.metrics_token.encode()):
            raise Unauthenticated(challenge=INVALID)
    text = await sender_of(request)(GetMetrics())
    return Response(text, media_type=CONTENT_TYPE_LATEST)


probe_routes = Routes("", tag="system", versioned=False)
probe_routes.get("/health", GetHealth, endpoint=health, unwell=503, essential=True)
probe_routes.get("/livez", GetLiveness, limit=None, essential=True)
probe_routes.get("/readyz", GetReadiness, endpoint=readyz, limit=None, unwell=503, essential=True)
probe_routes.get(
    "/metrics",
    GetMetrics,
    endpoint=metrics,
    limit=None,
    essential=True,
    credentials={"metrics_token": {"type": "http", "scheme": "bearer"}},
    refuses=(401, 404),
)

routes = Routes("", tag="system", about="Health, metrics, the audit trail; jobs and backups.")
routes.get(
    "/healthcheck", GetHealth, endpoint=health, unwell=503, name="get_healthcheck", essential=True
)
routes.get("/system/ping", Ping)
routes.get("/system/activity", ListActivity)
routes.get("/system/metrics/minutes", ListMetricMinutes)
routes.get("/system/settings", ListSettings)
routes.get("/system/editable-resources", ListEditableResources)
