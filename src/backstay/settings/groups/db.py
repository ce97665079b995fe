"""The settings of the database, and the form that its URL has in all other code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from backstay.settings.errors import SettingError
from backstay.settings.fields import WEEK, Count, Port, Setting, SettingsGroup, rooted
from backstay.settings.groups import postgres_url
from backstay.settings.groups.postgres_url import DEFAULT_PORT

DEFAULT_FILE = "./backstay.db"
DEFAULT_URL = f"sqlite:///{DEFAULT_FILE}"
POSTGRESQL = "postgresql+asyncpg"
SQLITE = "sqlite+aiosqlite"
DRIVERS = {
    "postgresql": POSTGRESQL,
    "postgres": POSTGRESQL,
    POSTGRESQL: POSTGRESQL,
    "sqlite": SQLITE,
    SQLITE: SQLITE,
}
FEWEST, FEWEST_BEHIND_PGBOUNCER = 4, 3
"""Connections a process needs: to read, to write, for probes, and (without PgBouncer) to listen."""
PARTS = ("driver", "host", "port", "name", "user", "password")
REPLICA_PARTS = ("replica_host", "replica_port", "replica_name", "replica_user", "replica_password")


class DatabaseUrl(SecretStr):
    """A database URL that, when printed, hides its passwords and nothing else."""

    @classmethod
    def of(cls, url: URL) -> "DatabaseUrl":
        """Write a URL as text, with special characters in user and password percent-encoded."""
        text = url.render_as_string(hide_password=False)
        if url.username is None:
            return cls(text)
        # SQLAlchemy does not encode spaces, which libpq refuses
        account, at, rest = text.partition("@")
        return cls(f"{account.replace(' ', '%20')}{at}{rest}")

    @property
    def parsed(self) -> URL:
        """The URL in parts."""
        return make_url(self.get_secret_value())

    def _display(self) -> str:
        try:
            url = self.parsed
        except (ArgumentError, ValueError):
            return "********"
        hidden = {key: "hidden" for key in url.query if "pass" in key.lower()}
        return url.update_query_dict(hidden).render_as_string(hide_password=True)


def _driver(value: str) -> str:
    if value not in DRIVERS:
        raise SettingError("is not a known driver", "Use postgresql or sqlite.")
    return DRIVERS[value]


FORM = (
    "Write postgresql://user:password@host:5432/name (special characters percent-encoded) "
    f"or {DEFAULT_URL}"
)
_HINT = f"{FORM}; or give the parts instead, such as DB_HOST."


def normalised(text: str, root: Path | None) -> URL:
    """A database URL in the form of all other code; `SettingError` if it is none."""
    driver = text.partition(":")[0]
    if "://" in text and driver not in DRIVERS:
        raise SettingError("names a database that is not supported", _HINT)
    is_file = DRIVERS.get(driver) == SQLITE
    try:
        url = _file(make_url(text), root) if is_file else postgres_url.read(text, root)
    except SettingError:
        raise
    except (ArgumentError, ValueError):
        raise SettingError("is not a database URL", _HINT) from None
    return url.set(drivername=DRIVERS[driver])


def _file(url: URL, root: Path | None) -> URL:
    """Accept only a file, which is one database for all; a relative one starts at the root."""
    if url.host:
        raise SettingError("has too few slashes: a SQLite URL names a file, not a host", _HINT)
    if url.query:
        raise SettingError(
            "has parameters, and a SQLite URL takes none", "End it with the file's name."
        )
    name = url.database
    if not name or name == ":memory:" or name.startswith("file:"):
        raise SettingError(
            "names no file, and each connection would have a database of its own",
            f"Name a file, such as {DEFAULT_URL}.",
        )
    return url.set(database=rooted(name, root))


def _composed(parts: Mapping[str, Any], root: Path | None) -> URL:
    name, password = parts["name"], parts["password"]
    driver = parts["driver"] or POSTGRESQL
    if driver == SQLITE:
        try:
            return _file(URL.create(SQLITE, database=name or DEFAULT_FILE), root)
        except SettingError as error:
            raise SettingError(error.wrong, error.hint, "DB_NAME") from None
    if not name:
        raise SettingError(
            "is missing while other parts of the database's address are given",
            "Set it to the database's name, or give the whole address as DB_URL.",
            variable="DB_NAME",
        )
    if parts["password"] and not parts["user"]:
        raise SettingError("is missing, and DB_PASSWORD is set", "Set it, too.", variable="DB_USER")
    url = URL.create(
        driver,
        username=parts["user"],
        password=password and password.get_secret_value(),
        database=name,
    )
    return postgres_url.at_host(
        url, "DB_HOST", parts["host"] or "localhost", parts["port"] or DEFAULT_PORT
    )


class DbSettings(SettingsGroup, title="Database"):
    """The database: one URL, or its parts. Without either, SQLite in the project's root."""

    env_prefix: ClassVar = "DB_"

    driver: Annotated[
        Annotated[str, AfterValidator(_driver)] | None, Setting(default="postgresql")
    ] = Field(None, description="`postgresql` or `sqlite`.")
    host: Annotated[str | None, Setting(default="localhost")] = Field(
        None, description="Host, several with commas, or the folder of a socket."
    )
    port: Annotated[Port | None, Setting(default="5432")] = Field(None, description="Port.")
    name: str | None = Field(None, description="Name of the database; for SQLite, its file.")
    user: str | None = Field(None, description="User to sign in as.")
    password: SecretStr | None = Field(None, description="That user's password, as it is.")
    url: Annotated[
        DatabaseUrl,
        Setting(also="DATABASE_URL", parts=PARTS, default=DEFAULT_URL, kind="database URL"),
    ] = Field(
        DatabaseUrl(""),
        description="Address of the database; stronger than the parts above. `postgresql://`, "
        "`postgres://` and `sqlite:///` are understood, with the parameters of libpq that can be "
        "met (`docs/guides/database-urls.md`); SQLite needs a file.",
    )
    fallback_to_sqlite: bool = Field(
        False,
        description=f"Let `serve` and `worker` go on with `{DEFAULT_URL}`, and without a replica, "
        "when PostgreSQL cannot be reached at their start; refused outside `local`.",
    )
    min_connections: Annotated[Count, Setting(at_most=10_000)] = Field(
        1,
        description="Connections that an idle process keeps, of all kinds; on PostgreSQL at least "
        "the one that listens, that of probes and one for requests.",
    )
    max_connections: Annotated[Count, Setting(at_most=10_000)] = Field(
        10,
        description="Most connections at once, per process: on PostgreSQL to read, to write, to "
        "listen and for probes together (at least 4, or 3 with `DB_PGBOUNCER`), on SQLite those "
        "that read. See `docs/guides/production.md`.",
    )
    ping_connection: bool = Field(True, description="Test a pooled connection before using it.")
    statement_timeout: Annotated[
        float, Field(ge=0, allow_inf_nan=False), Setting(kind="seconds", at_most=WEEK)
    ] = Field(30.0, description="Seconds a statement may run; 0 is without end.")
    read_timeout: Annotated[
        float, Field(gt=0, allow_inf_nan=False), Setting(kind="seconds above 0", at_most=300)
    ] = Field(
        5.0,
        description="Seconds a query of a request may run before it is ended and answered with "
        "503; not above `DB_STATEMENT_TIMEOUT`, which is for commands, jobs, exports and the "
        "command line.",
    )
    max_reads_per_user: Annotated[Count, Setting(at_most=10_000)] = Field(
        5,
        description="Most queries of one user, or of one address that is not signed in, at once, "
        "per process; always fewer than there are connections. Further ones wait.",
    )
    pool_timeout: Annotated[
        float, Field(gt=0, allow_inf_nan=False), Setting(kind="seconds above 0", at_most=WEEK)
    ] = Field(2.0, description="Seconds to wait for a free connection before answering 503.")
    pgbouncer: bool = Field(
        False,
        description="PgBouncer with transaction pooling stands in front of the database. Nobody "
        "can `LISTEN` through it: without Redis, who is signed in is read again every 0.75 "
        "seconds. Limits are set with each transaction; how to spare reads theirs is in "
        "`docs/guides/production.md`.",
    )
    replica_host: str | None = Field(
        None, description="Host of a read replica; parts not given are those of the primary."
    )
    replica_port: Port | None = Field(None, description="Port of the replica.")
    replica_name: str | None = Field(None, description="Name of the replica's database.")
    replica_user: str | None = Field(None, description="User to sign in to the replica as.")
    replica_password: SecretStr | None = Field(None, description="That user's password.")
    replica_url: Annotated[
        DatabaseUrl | None, Setting(parts=REPLICA_PARTS, kind="database URL")
    ] = Field(None, description="Address of a read replica; stronger than its parts.")
    replica_max_connections: Annotated[Count, Setting(at_most=10_000)] = Field(
        10, description="Most connections to the replica at once, per process."
    )
    auto_migrate: bool = Field(
        True, description="Migrate the database at start; only obeyed in `local`."
    )
    migration_lock_timeout: Annotated[
        float, Field(gt=0, allow_inf_nan=False), Setting(kind="seconds above 0", at_most=300)
    ] = Field(
        2.0,
        description="Seconds that a migration waits for the lock of a table on PostgreSQL before "
        "it undoes everything and tries again: others who use that table wait as long.",
    )
    migration_max_wait: Annotated[
        float, Field(ge=0, allow_inf_nan=False), Setting(kind="seconds", at_most=WEEK)
    ] = Field(300.0, description="Seconds in which `db upgrade` and `db downgrade` try again.")

    @field_validator("url")
    @classmethod
    def _normalise_or_compose(cls, url: DatabaseUrl, info: ValidationInfo) -> DatabaseUrl:
        given = url.get_secret_value()
        sound = all(part in info.data for part in PARTS)
        if not given and sound and any(info.data[part] is not None for part in PARTS):
            return DatabaseUrl.of(_composed(info.data, info.context))
        return DatabaseUrl.of(normalised(given or DEFAULT_URL, info.context))

    @field_validator("max_connections")
    @classmethod
    def _at_least_the_minimum(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("min_connections", 1):
            raise SettingError(
                "is below DB_MIN_CONNECTIONS", "Raise it, or lower DB_MIN_CONNECTIONS."
            )
        return value

    @field_validator("replica_url")
    @classmethod
    def _complete_from_primary(
        cls, replica: DatabaseUrl | None, info: ValidationInfo
    ) -> DatabaseUrl | None:
        data = info.data
        if not replica and not data.get("replica_host") and not data.get("replica_port"):
            return None
        if replica:
            url = normalised(replica.get_secret_value(), info.context)
        elif "url" in data and all(part in data for part in REPLICA_PARTS):
            url = _replica_of(data["url"].parsed, data)
        else:
            return None
        on_sqlite = "url" in data and data["url"].parsed.drivername == SQLITE
        if on_sqlite and data.get("fallback_to_sqlite"):
            return None
        if on_sqlite or url.drivername == SQLITE:
            raise SettingError(
                "asks for a replica, which SQLite does not have",
                "Remove the DB_REPLICA_ settings, or use PostgreSQL.",
            )
        return DatabaseUrl.of(url)

    @property
    def sqlalchemy_url(self) -> str:
        """The database's URL with its async driver and its password."""
        return self.url.get_secret_value()

    @property
    def replica_sqlalchemy_url(self) -> str | None:
        """The replica's URL with its async driver and its password, if there is a replica."""
        return self.replica_url.get_secret_value() if self.replica_url else None

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is SQLite; otherwise it is PostgreSQL."""
        return self.url.parsed.drivername == SQLITE


def _replica_of(primary: URL, parts: Mapping[str, Any]) -> URL:
    """The primary's URL with the replica's parts, without its ``target_session_attrs``."""
    password, port = parts["replica_password"], parts["replica_port"]
    url = primary.difference_update_query(["target_session_attrs"]).set(
        database=parts["replica_name"],
        username=parts["replica_user"],
        password=password and password.get_secret_value(),
    )
    if parts["replica_host"]:
        ports = str(primary.query.get("port", primary.port or DEFAULT_PORT)).split(",")
        return postgres_url.at_host(
            url, "DB_REPLICA_HOST", parts["replica_host"], port or int(ports[0])
        )
    return postgres_url.at_host(
        url, "DB_REPLICA_PORT", primary.host or str(primary.query.get("host", "")), port
    )
