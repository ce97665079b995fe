"""The application under measurement: the standard one, with ninety routes and a command more."""

from fastapi import FastAPI

from backstay.application import create_app
from backstay.core.feature import Feature
from backstay.features import STANDARD
from backstay.features.system.queries.probes import Ping
from backstay.web.routes import Routes
from benchmarks import enqueueing

ROUTES = 90

many = Routes("/bench", tag="bench")
for number in range(ROUTES):
    many.get(f"/{number}", Ping, name=f"bench_{number}")


def app() -> FastAPI:
    """The application, which runs no jobs; granian calls it once per worker."""
    routes = (many, enqueueing.routes)
    bench = Feature("bench", modules=(enqueueing,), routes=routes, requires=("system",))
    return create_app(features=[*STANDARD, bench], worker=False)


def far() -> FastAPI:
    """The application, which keeps nothing in process: every hit comes from Redis."""
    made = app()
    made.state.backstay.cache.memory.entries.most = 0
    return made
