"""Builds the FastAPI application around what was composed."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.requests import Request

from backstay.composition import Backstay, console
from backstay.composition.logs import EXPECTED, log_start, sentences_of, start_logging
from backstay.core import runtime_dir
from backstay.core.startup import settle_memory
from backstay.core.wiring import BootError, Code, Flaw, Place
from backstay.db.sole_server import sole_server
from backstay.features.auth.queries.principals import MayReadDocs
from backstay.features.auth.routes import LOGIN
from backstay.features.system.routes import probe_routes, start_page
from backstay.jobs.worker import Worker
from backstay.limits.classes import GENERAL
from backstay.observability import log_libraries
from backstay.settings import AppSettings, Environment
from backstay.web import docs, errors, middleware
from backstay.web.callers import limit_of
from backstay.web.dispatch import Route
from backstay.web.limits import Limits
from backstay.web.openapi import openapi_of, plain_routes
from backstay.web.overload import Shedder
from backstay.web.route_index import RouteIndex
from backstay.web.served import Served
from backstay.web.state import Authenticator, EdgeState, edge_of, sender_of

Hook = Callable[[FastAPI], Awaitable[None]]
_NONE = TelemetryConfig(tracing=False, metrics=False, logs=False, auto_configure=False)
"""FastAPI's own spans have queries and parameters; those of `web/tracing.py` have no values."""


def app_of(
    backstay: Backstay,
    *,
    routers: Sequence[APIRouter] = (),
    on_start: Sequence[Hook] = (),
    on_stop: Sequence[Hook] = (),
    worker: bool | None = None,
) -> FastAPI:
    """Build a plain FastAPI application around what was composed; see `Application`.

    Raises:
        BootError: routes hide one another, or limits have one name; it has every fault.
    """
    settings = backstay.settings

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        stop_logging, held = start_logging(backstay), ExitStack()
        try:
            with _refusing(app):
                await _start(backstay, held)
                for start in on_start:
                    await start(app)
            settle_memory()
            held.callback(log_start("server"))
            async with _worker(backstay, worker), _console(app, backstay):
                yield
            for stop in on_stop:
                await stop(app)
        finally:
            await backstay.close()
            held.close()
            stop_logging()

    app = Served(
        title=settings.app.title,
        description=settings.app.description,
        version=settings.app.version,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        contact=_contact(settings.app),
        license_info={"name": settings.app.license_name} if settings.app.license_name else None,
        telemetry=_NONE,
    )
    app.state.backstay, app.state.refusal = backstay, ""
    app.state.edge = _edge(backstay)
    index = _install(app, backstay)
    for router in routers:
        app.include_router(router)
    index.plain_routes = plain_routes(app)
    app.seal()
    if faults := (*_limit_faults(app), *_path_faults(app, index)):
        raise BootError(faults)
    return app


def probes_app(backstay: Backstay) -> FastAPI:
    """An application with health and metrics only, for a process that serves nothing else."""
    app = FastAPI(openapi_url=None, redirect_slashes=False, telemetry=_NONE)
    app.state.edge, app.state.refusal = _edge(backstay), ""
    app.router.routes += probe_routes.build("")
    errors.install(app)
    middleware.install(app, backstay.settings, backstay.metrics)
    return app


def console_app(app: FastAPI, backstay: Backstay) -> FastAPI:
    """An application with the console of another one only, for a port of its own."""
    made = FastAPI(openapi_url=None, redirect_slashes=False, telemetry=_NONE)
    made.state.edge, made.state.refusal = app.state.edge, ""
    console.install(made, backstay, [each for each in app.routes if isinstance(each, Route)])
    errors.install(made)
    made.router.middleware_stack = index = RouteIndex(made.router.middleware_stack, ())
    index.plain_routes = plain_routes(made)
    middleware.install(made, backstay.settings, backstay.metrics, index, backstay.tracer)
    return made


async def _start(backstay: Backstay, held: ExitStack) -> None:
    """Check the database and connect; a foreign server may have started other workers unseen."""
    if not backstay.settings.is_local and runtime_dir.FOLDER not in os.environ:
        held.enter_context(sole_server(backstay.database.options.file))
    backstay.schema.tell(await backstay.schema.require())
    await backstay.require_admin()
    await backstay.database.warm_up()
    await backstay.passwords.warm_up()
    await backstay.start()


@contextmanager
def _refusing(app: FastAPI) -> Iterator[None]:
    """Keep the sentence of an expected error, which is logged instead of its traceback."""
    try:
        yield
    except EXPECTED as error:
        app.state.refusal = "\n".join(sentences_of(error))
        log_libraries.leave_out_traceback(error)
        raise


@asynccontextmanager
async def _worker(backstay: Backstay, wanted: bool | None) -> AsyncIterator[None]:
    """Run jobs in this process if ``wanted``; by default only in `local`.

    Elsewhere `backstay worker` runs them.
    """
    if not (backstay.settings.is_local if wanted is None else wanted):
        yield
        return
    grace = backstay.settings.server.graceful_timeout
    async with Worker(backstay.worker_context).running(grace=grace):
        yield


@asynccontextmanager
async def _console(app: FastAPI, backstay: Backstay) -> AsyncIterator[None]:
    """Serve the console on a port of its own, if there is one."""
    settings = backstay.settings
    if not settings.admin.console or settings.admin.console_port is None:
        yield
        return
    from backstay.web.side_server import serving

    host, port = settings.server.host, settings.admin.console_port
    async with serving(console_app(app, backstay), host, port):
        yield


def _install(app: FastAPI, backstay: Backstay) -> RouteIndex:
    settings = backstay.settings
    root = settings.app.root_path
    routes = [r for f in backstay.features for table in f.routes for r in table.build(root)]
    app.router.routes += routes
    login_path = f"{settings.app.root_path}/v1/auth/login"
    max_age = settings.client_cache.max_age
    app.openapi = lambda: openapi_of(  # type: ignore[method-assign]
        app, login_path, backstay.features, backstay.conditional, max_age
    )
    if settings.app.swagger and settings.environment is not Environment.PRODUCTION:

        async def may_read(request: Request, login: str, password: str) -> bool:
            await edge_of(request).limits.by_address(request.scope, LOGIN)
            send = sender_of(request).as_system()
            return await send(MayReadDocs(login=login, password=password))

        docs.install(app, may_read=None if settings.is_local else may_read)
    if settings.admin.console and settings.admin.console_port is None:
        console.install(app, backstay, routes)
    if settings.is_local:
        start_page.install(app, settings)
    errors.install(app)
    app.router.middleware_stack = index = RouteIndex(app.router.middleware_stack, routes)
    wait, shed = settings.server.max_wait, backstay.metrics.events.shed
    shedder = Shedder(wait, shed) if wait else None
    middleware.install(app, settings, backstay.metrics, index, backstay.tracer, shedder)
    return index


def _limit_faults(app: FastAPI) -> Iterator[Flaw]:
    """Limit classes of one name, whose requests would count together."""
    first = {GENERAL.name: GENERAL}
    for route in (*app.routes, *plain_routes(app)):
        limit = route.spec.limit if isinstance(route, Route) else limit_of(route)
        if limit is not None and first.setdefault(limit.name, limit) is not limit:
            other = Place.of(first[limit.name])
            problem = f"Another limit class is called {limit.name}, at {other}."
            hint = "Give one of them another name, or let the routes share one class."
            yield Flaw(Code.ROUTE_LIMIT_TWICE, problem, hint).of(limit)


def _path_faults(app: FastAPI, index: RouteIndex) -> Iterator[Flaw]:
    """A feature's route that hides another one, such as that of the documentation."""
    for context in index.plain_routes:
        path = context.path_format or ""
        for method in {*(context.methods or ())} - {"HEAD"}:
            taker = index.taker(method, path)
            if isinstance(taker, Route):
                first = f"{taker.spec.method} {taker.path}"
                problem = f"{first} is before {method} {path} of no feature, which nobody reaches."
                hint = "Give one of them another path, or remove it."
                yield Flaw(Code.ROUTE_TWICE, problem, hint).of(taker.spec)


def _edge(backstay: Backstay) -> EdgeState:
    settings, token = backstay.settings, backstay.settings.app.metrics_token
    authenticator = Authenticator(backstay.tokens, backstay.principals, backstay.clock)
    return EdgeState(
        bus=backstay.bus,
        authenticate=authenticator,
        refresh=authenticator.refresh,
        limits=Limits(backstay.limiter, settings, backstay.metrics.events.limited),
        secure_cookies=not settings.is_local,
        public_origin=settings.app.public_origin,
        cors_origins=frozenset(settings.app.cors_origins),
        shows_metrics=settings.app.metrics and (token is not None or settings.is_local),
        metrics_token=None if token is None else token.get_secret_value(),
        cache_is_remote=backstay.cache_is_remote,
        client_max_age=settings.client_cache.max_age,
    )


def _contact(app: AppSettings) -> dict[str, Any] | None:
    contact = {"name": app.contact_name, "email": app.contact_email}
    return {name: value for name, value in contact.items() if value} or None
