"""Chooses what tells workers in other processes of new jobs."""

from backstay.adapters.wakeups_broker import BrokerWakeups
from backstay.adapters.wakeups_postgres import PostgresWakeups
from backstay.core.jobs import Wakeups
from backstay.db.session import Database
from backstay.settings import Settings


def wakeups_of(settings: Settings, database: Database) -> tuple[Wakeups, ...]:
    """The database where it can, and the broker where there is one."""
    url = settings.queue.url
    broker = (BrokerWakeups(url.get_secret_value()),) if url else ()
    return broker if database.options.is_sqlite else (PostgresWakeups(database), *broker)
