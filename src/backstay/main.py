"""The composition root: settings and features in, one application out."""

import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware

from backstay.adapters.limiter_memory import MemoryLimiter
from backstay.adapters.log_structlog import configure as configure_logging
from backstay.adapters.passwords_argon2 import Argon2Passwords
from backstay.adapters.principals_memory import LocalPrincipals
from backstay.adapters.refresh_tokens_hmac import HmacRefreshTokens
from backstay.adapters.tokens_jwt import JwtAccessTokens
from backstay.adapters.vitals_database import DatabaseVitals
from backstay.core.bus import BootError, Buses, Bus, Provider, Registry, Sender
from backstay.core.clock import utc_now
from backstay.core.context import Origin, PrincipalChanges
from backstay.core.errors import AppError
from backstay.core.feature import Feature, check_features
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
from backstay.db.cursors import Cursors
from backstay.db.engine import EngineOptions
from backstay.db.session import Database, Reader, Transaction, transaction_with
from backstay.features import STANDARD
from backstay.features.auth.queries import GetPrincipal, MayReadDocs
from backstay.settings import AppSettings, SecuritySettings, Settings, decode_key, load_settings
from backstay.web import docs, errors
from backstay.web.address import ClientAddress
from backstay.web.auth import Authenticator
from backstay.web.dispatch import Route
from backstay.web.limits import Limit, Limits
from backstay.web.metrics import HttpMetrics
from backstay.web.middleware import Edge, Faults
from backstay.web.router import RouteIndex
from backstay.web.state import EdgeState, MetricsAccess
