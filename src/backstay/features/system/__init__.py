"""How the application is doing: health, probes, metrics, server time."""

from backstay.core.feature import Feature
from backstay.features.system import queries
from backstay.features.system.routes import probe_routes, routes

feature = Feature(name="system", modules=(queries,), routes=(probe_routes, routes))
