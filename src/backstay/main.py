"""Builds the FastAPI application from settings and features."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.requests import Request

from backstay.composition import Backstay, compose
from backstay.composition.logs import start_logging
from backstay.core.addresses import origin_of
from backstay.core.clock import utc_now
from backstay.core.feature import Feature
from backstay.core.ports import Clock
from backstay.core.startup import settle_memory
from backstay.core.wiring import BootError, Code, Flaw
from backstay.features import STANDARD
from backstay.features.auth.queries import MayReadDocs
from backstay.features.auth.routes import LOGIN
from backstay.features.system.routes import probe_routes, start_page
from backstay.jobs.run import run_worker
from backstay.jobs.worker import Worker
from backstay.settings import AppSettings, Environment, Settings, load_settings
from backstay.web import docs, errors, middleware
from backstay.web.address import ClientAddress
from backstay.web.auth import Authenticator
from backstay.web.dispatch import Route
from backstay.web.limits import Limits
from backstay.web.openapi import openapi_of
from backstay.web.router import RouteIndex
from backstay.web.state import EdgeState, count_unmatched, edge_of, metrics_access, sender_of

Hook = Callable[[FastAPI], Awaitable[None]]


def create_app(
    settings: Settings | None = None,
    features: Sequence[Feature] = STANDARD,
    *,
    routers: Sequence[APIRouter] = (),
    on_start: Sequence[Hook] = (),
    on_stop: Sequence[Hook] = (),
    clock: Clock = utc_now,
    worker: bool | None = None,
) -> FastAPI:
    """Build the application, a plain FastAPI one.

    Args:
        settings: by default read from the environment.
        features: what the application can do; a feature comes after those that it requires.
        routers: further FastAPI routers; their requests do not pass the pipeline.
        on_start: each is awaited with the application before it serves its first request.
        on_stop: each is awaited with the application before its connections close.
        worker: whether jobs run in this process, too; by default only in `local`.

    Raises:
        ConfigurationError: the settings are faulty; it has every fault.
        BootError: the features are wired wrongly; it has every fault.
    """
    settings = settings or load_settings()
    backstay = compose(settings, features, clock=clock)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        stop_logging = start_logging(backstay)
        try:
            await backstay.require_schema()
            await backstay.database.warm_up()
            await backstay.passwords.warm_up()
            await backstay.start()
            for start in on_start:
                await start(app)
            settle_memory()
            async with _worker(backstay, worker):
                yield
            for stop in on_stop:
                await stop(app)
        finally:
            await backstay.close()
            structlog.get_logger("backstay.server").info("server stopped", pid=os.getpid())
            stop_logging()

    app = FastAPI(
        title=settings.app.title,
        description=settings.app.description,
        version=settings.app.version,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        contact=_contact(settings.app),
        license_info={"name": settings.app.license_name} if settings.app.license_name else None,
    )
    app.state.backstay = backstay
    app.state.edge = _edge(backstay)
    index = _install(app, backstay)
    for router in routers:
        app.include_router(router)
    _check_paths(app, index)
    return app


def probes_app(backstay: Backstay) -> FastAPI:
    """An application with health and metrics only, for a process that serves nothing else."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.state.edge = _edge(backstay)
    app.router.routes += probe_routes.build("")
    errors.install(app)
    middleware.install(app, backstay.settings, backstay.metrics)
    return app


@asynccontextmanager
async def _worker(backstay: Backstay, wanted: bool | None) -> AsyncIterator[None]:
    """Run jobs in this process if ``wanted``; by default only in `local`.

    Elsewhere `backstay worker` runs them.
    """
    if not (backstay.settings.is_local if wanted is None else wanted):
        yield
        return
    place, grace = backstay.worker_context, backstay.settings.server.graceful_timeout
    async with run_worker(place, Worker(place), grace=grace):
        yield


def _install(app: FastAPI, backstay: Backstay) -> RouteIndex:
    settings = backstay.settings
    root = settings.app.root_path
    routes = [r for f in backstay.features for table in f.routes for r in table.build(root)]
    app.router.routes += routes
    login_path = f"{settings.app.root_path}/v1/auth/login"
    max_age = settings.client_cache.max_age
    app.openapi = lambda: openapi_of(app, login_path, backstay.features, max_age)  # type: ignore[method-assign]
    if settings.app.swagger and settings.environment is not Environment.PRODUCTION:

        async def may_read(request: Request, login: str, password: str) -> bool:
            await edge_of(request).limits.by_address(request.scope, LOGIN)
            send = sender_of(request).as_system()
            return await send(MayReadDocs(login=login, password=password))

        docs.install(app, may_read=None if settings.is_local else may_read)
    if settings.is_local:
        start_page.install(app, settings)
    errors.install(app)
    app.router.middleware_stack = index = RouteIndex(
        app.router.middleware_stack, routes, count_unmatched
    )
    middleware.install(app, settings, backstay.metrics)
    return index


def _check_paths(app: FastAPI, index: RouteIndex) -> None:
    """Refuse a feature's route that hides another one, such as that of the documentation.

    Raises:
        BootError: it has each of them.
    """
    faults = []
    others = [route for route in app.routes if not isinstance(route, Route)]
    for context in iter_route_contexts(others):
        path = context.path_format or ""
        for method in {*(context.methods or ())} - {"HEAD"}:
            taker = index.taker(method, path)
            if isinstance(taker, Route):
                first = f"{taker.spec.method} {taker.path}"
                problem = f"{first} is before {method} {path} of no feature, which nobody reaches."
                hint = "Give one of them another path, or remove it."
                faults.append(Flaw(Code.ROUTE_TWICE, problem, hint).of(taker.spec))
    if faults:
        raise BootError(faults)


def _edge(backstay: Backstay) -> EdgeState:
    settings, token = backstay.settings, backstay.settings.app.metrics_token
    client_address = ClientAddress(settings.server.trusted_proxies)
    return EdgeState(
        buses=backstay.buses,
        authenticate=Authenticator(
            backstay.tokens, backstay.principals, lambda: backstay.clock().timestamp()
        ),
        limits=Limits(backstay.limiter, settings, client_address),
        client_address=client_address,
        secure_cookies=not settings.is_local,
        public_origin=origin_of(settings.app.public_url),
        cors_origins=frozenset(settings.app.cors_origins),
        metrics=metrics_access(settings),
        metrics_token=token.get_secret_value() if token else None,
        cache_is_remote=backstay.cache_is_remote,
        client_max_age=settings.client_cache.max_age,
    )


def _contact(app: AppSettings) -> dict[str, Any] | None:
    contact = {"name": app.contact_name, "email": app.contact_email}
    return {name: value for name, value in contact.items() if value} or None
