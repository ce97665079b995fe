"""Reads the options of the engines from the settings, so that engines do not depend on those."""

from backstay.db.engine import EngineOptions
from backstay.settings import Settings


def engine_options(settings: Settings) -> EngineOptions:
    """The options of the engines, as the settings have them."""
    db = settings.db
    return EngineOptions(
        url=db.sqlalchemy_url,
        replica_url=db.replica_sqlalchemy_url,
        min_connections=db.min_connections,
        max_connections=db.max_connections,
        replica_max_connections=db.replica_max_connections,
        ping=db.ping_connection,
        statement_timeout=db.statement_timeout,
        read_timeout=db.read_timeout,
        max_reads_per_user=db.max_reads_per_user,
        pool_timeout=db.pool_timeout,
        pgbouncer=db.pgbouncer,
    )
