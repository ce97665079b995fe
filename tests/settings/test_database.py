"""Shows the database URL: its forms, its parts, its replica, and its hidden password."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from backstay.db.options import EngineOptions
from backstay.settings import DatabaseUrl, DbSettings, Loaded
from tests.examples import examples
from tests.settings.reading import Read, faulty


def db(loaded: Loaded) -> DbSettings:
    assert loaded.errors == ()
    assert loaded.settings is not None
    return loaded.settings.db


@pytest.mark.parametrize("variable", ["DB_URL", "DATABASE_URL", "DB_REPLICA_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "s3cr3t",
        "mysql://user:s3cr3t@host/name",
        "postgresql+psycopg2://user:s3cr3t@host/name",
        "postgresql://user:s3cr3t@host:port/name",
        "sqlite://s3cr3t/file.db",
        "://s3cr3t",
        "postgresql://host:5432/name?password=s3cr3t&user=admin@elsewhere",
        "postgresql://host:5432/name?application_name=s3cr3t@elsewhere",
        "postgresql://host/s3cr3t@elsewhere",
    ],
)
def test_an_unsupported_url_is_a_fault_without_repeating_it(
    read: Read, variable: str, url: str
) -> None:
    environ = {"DB_URL": "postgresql://host/name"} if variable == "DB_REPLICA_URL" else {}
    loaded = read({**environ, variable: url})
    expected = "DB_URL" if variable == "DATABASE_URL" else variable
    assert faulty(loaded) == [expected]
    assert "s3cr3t" not in str(loaded)


@pytest.mark.parametrize(
    ("given", "normalised"),
    [
        ("postgresql://u:p@host/name", "postgresql+asyncpg://u:p@host/name"),
        ("postgres://u:p@host:6432/name", "postgresql+asyncpg://u:p@host:6432/name"),
        ("postgresql+asyncpg://host/name", "postgresql+asyncpg://host/name"),
        ("postgresql://h/n?sslmode=require", "postgresql+asyncpg://h/n?ssl=require"),
        ("sqlite:///./shop.db", "sqlite+aiosqlite:///./shop.db"),
        ("sqlite:////srv/shop.db", "sqlite+aiosqlite:////srv/shop.db"),
        ("sqlite+aiosqlite:///shop.db", "sqlite+aiosqlite:///shop.db"),
    ],
)
def test_urls_get_the_async_driver(read: Read, given: str, normalised: str) -> None:
    settings = db(read(DB_URL=given))
    assert settings.sqlalchemy_url == normalised
    assert settings.is_sqlite == normalised.startswith("sqlite")


def test_the_default_is_a_file_in_the_working_directory(read: Read) -> None:
    settings = db(read())
    assert settings.sqlalchemy_url == "sqlite+aiosqlite:///./backstay.db"
    assert EngineOptions(settings.sqlalchemy_url).file == Path("backstay.db")
    assert settings.replica_url is None
    assert settings.replica_sqlalchemy_url is None


def file_of(loaded: Loaded) -> Path | None:
    return EngineOptions(db(loaded).sqlalchemy_url).file


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////srv/shop.db", Path("/srv/shop.db")),
        ("postgresql://host/name", None),
    ],
)
def test_only_a_sqlite_file_has_a_path(read: Read, url: str, path: Path | None) -> None:
    assert file_of(read(DB_URL=url)) == path


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite+aiosqlite:///:memory:",
        "sqlite:///file:shop?mode=memory&uri=true",
        "sqlite:///file:shop.db",
        "sqlite:///shop.db?mode=ro",
        "sqlite:///shop.db?check_same_thread=false",
        ":memory:",
    ],
)
def test_a_sqlite_url_names_a_file_and_nothing_else(read: Read, url: str) -> None:
    assert faulty(read(DB_URL=url)) == ["DB_URL"]


@pytest.mark.parametrize("name", [":memory:", "file:shop.db"])
def test_the_name_of_a_sqlite_database_has_no_parameters(read: Read, name: str) -> None:
    assert faulty(read(DB_DRIVER="sqlite", DB_NAME=name)) == ["DB_NAME"]


def test_an_unknown_parameter_is_not_named_beside_a_password(read: Read) -> None:
    loaded = read(DB_URL="postgresql://host/name?user=u&password=first&secret=1")
    assert faulty(loaded) == ["DB_URL"]
    assert "secret" not in loaded.errors[0].wrong + loaded.errors[0].hint
    assert "parameter nobodys" in read(DB_URL="postgresql://host/name?nobodys=1").errors[0].wrong


class TestParts:
    def test_a_password_without_a_user_is_a_fault(self, read: Read) -> None:
        loaded = read(DB_NAME="name", DB_PASSWORD="s3cr3t")
        assert faulty(loaded) == ["DB_USER"]
        assert "s3cr3t" not in str(loaded)

    def test_a_missing_name_is_a_fault(self, read: Read) -> None:
        loaded = read(DB_HOST="host", DB_PASSWORD="s3cr3t")
        assert faulty(loaded) == ["DB_NAME"]
        assert "s3cr3t" not in str(loaded)

    @pytest.mark.parametrize("driver", ["mysql", "postgresql+psycopg", "PostgreSQL"])
    def test_an_unknown_driver_is_a_fault(self, read: Read, driver: str) -> None:
        loaded = read(DB_DRIVER=driver, DB_NAME="shop")
        assert faulty(loaded) == ["DB_DRIVER"]

    def test_a_bad_port_is_the_only_fault(self, read: Read) -> None:
        loaded = read(DB_PORT="x", DB_HOST="host")
        assert faulty(loaded) == ["DB_PORT"]

    def test_postgresql_on_this_machine_is_what_a_name_alone_means(self, read: Read) -> None:
        loaded = read(DB_NAME="shop")
        assert db(loaded).sqlalchemy_url == "postgresql+asyncpg://localhost:5432/shop"
        assert loaded.origins["DB_URL"] == "built from DB_NAME"

    def test_all_parts_make_the_url(self, read: Read) -> None:
        loaded = read(
            DB_DRIVER="postgresql+asyncpg",
            DB_HOST="db.internal",
            DB_PORT="6432",
            DB_NAME="shop",
            DB_USER="me",
            DB_PASSWORD="p@ss:w/rd?#%",
        )
        url = "postgresql+asyncpg://me:p%40ss%3Aw%2Frd%3F%23%25@db.internal:6432/shop"
        assert db(loaded).sqlalchemy_url == url

    @pytest.mark.parametrize("driver", ["sqlite", "sqlite+aiosqlite"])
    def test_the_name_of_a_sqlite_database_is_its_file(self, read: Read, driver: str) -> None:
        assert file_of(read(DB_DRIVER=driver, DB_NAME="/srv/a.db")) == Path("/srv/a.db")
        assert file_of(read(DB_DRIVER=driver)) == Path("backstay.db")

    def test_a_url_is_stronger_than_parts_and_says_so(self, read: Read) -> None:
        loaded = read(DATABASE_URL="postgres://host/name", DB_HOST="other", DB_USER="me")
        assert db(loaded).sqlalchemy_url == "postgresql+asyncpg://host/name"
        assert loaded.warnings == (
            "DB_HOST has no effect, since DB_URL is set",
            "DB_USER has no effect, since DB_URL is set",
        )

    @examples()
    @given(user=st.text(min_size=1), password=st.text(min_size=1))
    def test_any_user_and_password_survive_the_url(self, user: str, password: str) -> None:
        settings = DbSettings(name="shop", user=user, password=SecretStr(password))
        url = make_url(settings.sqlalchemy_url)
        assert (url.username, url.password, url.database) == (user, password, "shop")


class TestReplica:
    def test_sqlite_has_no_replica(self, read: Read) -> None:
        for environ in (
            {"DB_REPLICA_HOST": "replica"},
            {"DB_REPLICA_URL": "postgresql://replica/name"},
            {"DB_URL": "postgresql://host/name", "DB_REPLICA_URL": "sqlite:///./replica.db"},
        ):
            loaded = read(environ)
            assert faulty(loaded) == ["DB_REPLICA_URL"]

    def test_the_sqlite_fallback_uses_no_replica(self, read: Read) -> None:
        for replica in ({"DB_REPLICA_HOST": "replica"}, {"DB_REPLICA_URL": "postgres://r/name"}):
            wanted = {"DB_FALLBACK_TO_SQLITE": "true", **replica}
            assert db(read(wanted)).replica_url is None
            assert db(read(wanted, DB_URL="postgresql://host/name")).replica_url is not None

    def test_a_faulty_primary_is_not_blamed_on_the_replica(self, read: Read) -> None:
        loaded = read(DB_URL="mysql://host/name", DB_REPLICA_HOST="replica")
        assert faulty(loaded) == ["DB_URL"]

    def test_a_faulty_part_is_the_only_fault(self, read: Read) -> None:
        loaded = read(DB_NAME="shop", DB_REPLICA_HOST="replica", DB_REPLICA_PORT="x")
        assert faulty(loaded) == ["DB_REPLICA_PORT"]

    def test_missing_parts_of_a_replica_are_the_primarys(self, read: Read) -> None:
        loaded = read(
            DB_URL="postgresql://me:p%40ss@host:6432/shop?sslmode=require",
            DB_REPLICA_HOST="replica",
        )
        url = "postgresql+asyncpg://me:p%40ss@replica:6432/shop?ssl=require"
        assert db(loaded).replica_sqlalchemy_url == url
        assert loaded.origins["DB_REPLICA_URL"] == "built from DB_REPLICA_HOST"

    def test_every_part_of_a_replica_can_differ(self, read: Read) -> None:
        loaded = read(
            DB_NAME="shop",
            DB_REPLICA_HOST="replica",
            DB_REPLICA_PORT="5433",
            DB_REPLICA_NAME="copy",
            DB_REPLICA_USER="reader",
            DB_REPLICA_PASSWORD="a b",
        )
        url = "postgresql+asyncpg://reader:a%20b@replica:5433/copy"
        assert db(loaded).replica_sqlalchemy_url == url

    def test_a_replica_may_differ_by_its_port_alone(self, read: Read) -> None:
        loaded = read(DB_URL="postgresql://primary:5432/shop", DB_REPLICA_PORT="5433")
        assert db(loaded).replica_sqlalchemy_url == "postgresql+asyncpg://primary:5433/shop"

    def test_a_url_is_stronger_than_parts(self, read: Read) -> None:
        loaded = read(DB_NAME="a", DB_REPLICA_URL="postgres://replica/b", DB_REPLICA_PORT="1")
        assert db(loaded).replica_sqlalchemy_url == "postgresql+asyncpg://replica/b"
        assert loaded.warnings == ("DB_REPLICA_PORT has no effect, since DB_REPLICA_URL is set",)

    def test_a_user_alone_asks_for_no_replica(self, read: Read) -> None:
        loaded = read(DB_REPLICA_USER="replicator", DB_REPLICA_PASSWORD="secret")
        assert db(loaded).replica_url is None
        assert loaded.origins["DB_REPLICA_URL"] == "default"


def test_fewest_connections_above_most_is_a_fault(read: Read) -> None:
    loaded = read(DB_MIN_CONNECTIONS="5", DB_MAX_CONNECTIONS="4")
    assert faulty(loaded) == ["DB_MAX_CONNECTIONS"]


@pytest.mark.parametrize(
    ("url", "pgbouncer", "connections", "is_refused"),
    [
        ("postgresql://db/ship", "false", "1", True),
        ("postgresql://db/ship", "false", "2", True),
        ("postgresql://db/ship", "false", "3", True),
        ("postgresql://db/ship", "false", "4", False),
        ("postgresql://db/ship", "true", "2", True),
        ("postgresql://db/ship", "true", "3", False),
        ("sqlite:///ship.db", "false", "1", False),
    ],
)
def test_a_process_has_connections_for_everything_it_does_at_once(
    read: Read, url: str, pgbouncer: str, connections: str, is_refused: bool
) -> None:
    loaded = read(DB_URL=url, DB_PGBOUNCER=pgbouncer, DB_MAX_CONNECTIONS=connections)
    assert faulty(loaded) == (["DB_MAX_CONNECTIONS"] if is_refused else [])


def test_other_database_settings_have_their_defaults(read: Read) -> None:
    settings = db(read())
    assert (settings.min_connections, settings.max_connections) == (1, 10)
    assert (settings.statement_timeout, settings.pool_timeout) == (30.0, 2.0)
    assert (settings.read_timeout, settings.max_reads_per_user) == (5.0, 5)
    assert settings.ping_connection
    assert settings.auto_migrate
    assert not settings.pgbouncer
    assert not settings.fallback_to_sqlite
    assert settings.replica_max_connections == 10


def test_only_the_password_is_hidden_when_a_url_is_printed(read: Read) -> None:
    loaded = read(DB_URL="postgresql://me:s3cr3t@host/shop?password=s3cr3t&ssl=require")
    for text in (str(loaded), str(db(loaded).url), repr(db(loaded)), loaded.shown["DB_URL"]):
        assert "s3cr3t" not in text
        assert "postgresql+asyncpg://me:***@host/shop" in text


def test_text_that_is_no_url_is_hidden_completely() -> None:
    assert str(DatabaseUrl("s3cr3t")) == "********"
