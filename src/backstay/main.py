"""The composition root: settings and features in, one application out."""

import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import APIRouter, FastAPI

from backstay.adapters.limiter_memory import MemoryLimiter
from backstay.adapters.limiter_off import NoLimiter
from backstay.adapters.log_structlog import configure as configure_logging
from backstay.adapters.passwords_argon2 import Argon2Passwords
from backstay.adapters.principals_memory import LocalPrincipals
from backstay.adapters.refresh_tokens_hmac import HmacRefreshTokens
from backstay.adapters.tokens_jwt import JwtAccessTokens
from backstay.adapters.vitals_database import DatabaseVitals
from backstay.core.bus import BootError, Bus, Buses, Provider, Sender
from backstay.core.clock import utc_now
from backstay.core.context import Origin
from backstay.core.feature import Feature, registry_of
from backstay.core.messages import Command, Query
from backstay.core.pipeline import authorize, prepare_with
from backstay.core.ports import (
    AccessTokens,
    Clock,
    Limiter,
    Metrics,
    Passwords,
    RefreshTokens,
    Vitals,
)
from backstay.core.principal import SYSTEM, Grant, Principal, PrincipalCache
from backstay.core.representation import Preconditions
from backstay.db import migrate
from backstay.db.cursors import Cursors
from backstay.db.engine import EngineOptions
from backstay.db.session import WRITING, Database, Reader, transaction_with
from backstay.features import STANDARD
from backstay.features.access.commands import SyncAccess
from backstay.features.access.schemas import declared
from backstay.features.auth.queries import GetPrincipal, MayReadDocs
from backstay.features.users.commands.admins import Admin, EnsureAdmin
from backstay.settings import (
    AppSettings,
    Environment,
    SecuritySettings,
    Settings,
    decode_key,
    load_settings,
)
from backstay.web import docs, errors, middleware
from backstay.web.address import ClientAddress
from backstay.web.auth import Authenticator
from backstay.web.dispatch import Route
from backstay.web.limits import Limits
from backstay.web.metrics import HttpMetrics
from backstay.web.router import RouteIndex
from backstay.web.state import EdgeState, metrics_access, origin_of, rates_of

PRINCIPAL_MAX_AGE = 1.0
"""Seconds that a principal is believed unasked: others' changes are seen by then, own at once."""

Hook = Callable[[FastAPI], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Backstay:
    """Everything below the edge: what HTTP, the command line and tests send messages through."""

    settings: Settings
    features: tuple[Feature, ...]
    database: Database
    buses: Buses
    principals: PrincipalCache
    passwords: Argon2Passwords
    tokens: JwtAccessTokens
    limiter: Limiter
    metrics: HttpMetrics
    clock: Clock

    @property
    def system(self) -> Sender:
        """Sends messages as the application itself."""
        return Sender(self.buses, SYSTEM)

    async def close(self) -> None:
        """Release threads and connections."""
        self.passwords.close()
        await self.database.dispose()


def engine_options(settings: Settings) -> EngineOptions:
    """How to connect, from the settings."""
    db = settings.db
    return EngineOptions(
        url=db.sqlalchemy_url,
        replica_url=db.replica_sqlalchemy_url,
        min_connections=db.min_connections,
        max_connections=db.max_connections,
        replica_max_connections=db.replica_max_connections,
        ping=db.ping_connection,
        statement_timeout=db.statement_timeout,
        pool_timeout=db.pool_timeout,
        pgbouncer=db.pgbouncer,
    )


def compose(
    settings: Settings, features: Sequence[Feature] = STANDARD, *, clock: Clock = utc_now
) -> Backstay:
    """Wire features, adapters and the two pipelines together.

    Raises:
        BootError: the features contradict each other or a rule of messages; with every fault.
    """
    registry, security = registry_of(features), settings.security
    database, passwords, limiter = (
        Database(engine_options(settings)),
        Argon2Passwords(),
        MemoryLimiter() if settings.rate_limit.enabled else NoLimiter(),
    )
    tokens = JwtAccessTokens.configured(security, lambda: clock().timestamp())
    metrics, key = HttpMetrics(), decode_key(security.refresh_token_secret.get_secret_value())

    async def load_principal(session_id: UUID) -> Principal | None:
        return await Sender(buses, SYSTEM)(GetPrincipal(session_id=session_id))

    principals = PrincipalCache(load_principal, clock=time.monotonic, max_age=PRINCIPAL_MAX_AGE)
    providers = _providers(
        database,
        {
            Clock: clock,
            Passwords: passwords,
            AccessTokens: tokens,
            RefreshTokens: HmacRefreshTokens(key),
            Limiter: limiter,
            Metrics: metrics,
            Vitals: DatabaseVitals(database, lambda: migrate.schema_fault(database)),
            Cursors: Cursors(key),
            SecuritySettings: security,
            AppSettings: settings.app,
        },
    )
    prepare = prepare_with(registry, providers)
    transaction = transaction_with(database, LocalPrincipals(principals), clock)
    buses = Buses(
        commands=Bus(Command, registry, (authorize, prepare, transaction), providers | WRITING),
        queries=Bus(Query, registry, (authorize,), providers),
    )
    if registry.faults:
        raise BootError("\n".join(registry.faults))
    return Backstay(
        settings, tuple(features), database, buses, principals, passwords, tokens, limiter,
        metrics, clock,
    )  # fmt: skip


async def seed(backstay: Backstay) -> Admin | None:
    """Bring permissions and roles in line with the code; create the administrator if none lives.

    Outside local there is no administrator without ``ADMIN_PASSWORD``: one made up would end in
    the log of a deployment.

    Raises:
        AppError: the administrator's e-mail or username belongs to somebody else.
    """
    admin = backstay.settings.admin
    async with migrate.alone(backstay.database.options):
        await backstay.system(SyncAccess(permissions=declared(backstay.features)))
        if admin.password is None and not backstay.settings.is_local:
            return None
        return await backstay.system(
            EnsureAdmin(
                email=admin.email,
                username=admin.username,
                name=admin.name,
                password=admin.password.get_secret_value() if admin.password else None,
            )
        )


def _providers(database: Database, services: Mapping[Any, Any]) -> dict[Any, Provider]:
    """Where handler parameters come from, by type: fixed services and the message under way."""
    return {kind: _always(service) for kind, service in services.items()} | {
        Reader: database.reader_of,
        Principal: lambda context: context.principal,
        Grant: lambda context: context.grant,
        Origin: lambda context: context.origin,
        Preconditions: lambda context: context.origin.preconditions,
        Sender: lambda context: context.sender.inside(context),
    }


def _always(service: Any) -> Provider:
    return lambda context: service


def create_app(
    settings: Settings | None = None,
    features: Sequence[Feature] = STANDARD,
    *,
    routers: Sequence[APIRouter] = (),
    on_start: Sequence[Hook] = (),
    on_stop: Sequence[Hook] = (),
    clock: Clock = utc_now,
) -> FastAPI:
    """The application, as a plain FastAPI one.

    Args:
        settings: read from the environment unless given.
        features: what it can do; the order is that of requirement.
        routers: further FastAPI routers, outside the pipeline.
        on_start: awaited with the application once it is ready to serve.
        on_stop: awaited with the application before its connections close.

    Raises:
        ConfigurationError: the settings are faulty; with every fault.
        BootError: the features are wired wrongly; with every fault.
    """
    settings = settings or load_settings()
    backstay = compose(settings, features, clock=clock)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        configure_logging(settings.log.level, settings.log.format)
        try:
            await migrate.require_current(backstay.database)
            await backstay.database.warm_up()
            await backstay.passwords.warm_up()
            for start in on_start:
                await start(app)
            gc.collect()
            gc.freeze()
            yield
            for stop in on_stop:
                await stop(app)
        finally:
            await backstay.close()

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
    routes = [
        r for f in features for table in f.routes for r in table.build(settings.app.root_path)
    ]
    _install(app, backstay, routes)
    for router in routers:
        app.include_router(router)
    return app


def _install(app: FastAPI, backstay: Backstay, routes: list[Route]) -> None:
    settings = backstay.settings
    app.router.routes += routes
    login_path = f"{settings.app.root_path}/v1/auth/login"
    app.openapi = lambda: docs.openapi_of(app, login_path)  # type: ignore[method-assign]
    if settings.app.swagger and settings.environment is not Environment.PRODUCTION:

        async def may_read(login: str, password: str) -> bool:
            return await backstay.system(MayReadDocs(login=login, password=password))

        docs.install(app, may_read=None if settings.is_local else may_read)
    errors.install(app)
    app.router.middleware_stack = RouteIndex(app.router.middleware_stack, routes)
    middleware.install(app, settings, backstay.metrics)


def _edge(backstay: Backstay) -> EdgeState:
    settings, token = backstay.settings, backstay.settings.app.metrics_token
    return EdgeState(
        buses=backstay.buses,
        authenticate=Authenticator(
            backstay.tokens, backstay.principals, lambda: backstay.clock().timestamp()
        ),
        limits=Limits(backstay.limiter, rates_of(settings)),
        client_address=ClientAddress(settings.server.trusted_proxies),
        secure_cookies=not settings.is_local,
        public_origin=origin_of(settings.app.public_url),
        cors_origins=frozenset(settings.app.cors_origins),
        metrics=metrics_access(settings),
        metrics_token=token.get_secret_value() if token else None,
    )


def _contact(app: AppSettings) -> dict[str, Any] | None:
    contact = {"name": app.contact_name, "email": app.contact_email}
    return {name: value for name, value in contact.items() if value} or None
