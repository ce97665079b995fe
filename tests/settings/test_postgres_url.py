"""Shows which PostgreSQL URLs of other tools are accepted, and which are refused with advice."""

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest

from backstay.settings import Loaded
from backstay.settings.groups.postgres_parameters import ADDRESS, DROPPED, KEPT, REFUSED
from tests.settings.reading import Read, faulty

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "database-urls.md"
SECRET = "s3cr3t"
LIBPQ = """
    host hostaddr port dbname user password passfile require_auth channel_binding
    connect_timeout client_encoding options application_name fallback_application_name
    keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout
    replication gssencmode sslmode requiressl sslnegotiation sslcompression sslcert sslkey
    sslkeylogfile sslpassword sslcertmode sslrootcert sslcrl sslcrldir sslsni requirepeer
    ssl_min_protocol_version ssl_max_protocol_version min_protocol_version max_protocol_version
    krbsrvname gsslib gssdelegation scram_client_key scram_server_key service servicefile
    target_session_attrs load_balance_hosts oauth_issuer oauth_client_id oauth_client_secret
    oauth_scope
"""
"""Every parameter of PostgreSQL 18, section 34.1.2 of its documentation."""


def url_of(loaded: Loaded) -> str:
    assert loaded.errors == ()
    assert loaded.settings is not None
    return loaded.settings.db.sqlalchemy_url.removeprefix("postgresql+asyncpg://")


def test_every_parameter_of_libpq_is_decided_on() -> None:
    decided = [*ADDRESS, *KEPT, *DROPPED, *REFUSED]
    assert set(LIBPQ.split()) <= set(decided)
    assert len(decided) == len(set(decided))


def test_the_guide_names_every_parameter() -> None:
    named = set(re.findall(r"`([a-z_]+)`", GUIDE.read_text("utf-8")))
    assert {*ADDRESS, *KEPT, *DROPPED, *REFUSED} <= named


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("u:p@h/d?sslmode=require&channel_binding=prefer", "u:p@h/d?ssl=require"),
        ("u:p@h/d?gssencmode=disable&keepalives=1&keepalives_idle=30", "u:p@h/d"),
        ("u:p@h/d?application_name=shop", "u:p@h/d?application_name=shop"),
        ("u:p@h/d?fallback_application_name=shop", "u:p@h/d?application_name=shop"),
        ("u:p@h/d?fallback_application_name=x&application_name=shop",
         "u:p@h/d?application_name=shop"),
        ("u:p@h/d?connect_timeout=10", "u:p@h/d?connect_timeout=10"),
        ("h/d?options=endpoint%3Dep-1", "h/d?options=endpoint%3Dep-1"),
        ("h/d?sslrootcert=system", "h/d?ssl=verify-full&sslrootcert=system"),
        ("h/d?target_session_attrs=read-write", "h/d?target_session_attrs=primary"),
        ("h/d?target_session_attrs=read-only", "h/d?target_session_attrs=standby"),
        ("a:1,b:2/d", "/d?host=a%2Cb&port=1%2C2"),
        ("u:p@a,[::1]:2/d", "u:p@/d?host=a%2C%3A%3A1&port=5432%2C2"),
        ("/d?host=a,b&port=7", "/d?host=a%2Cb&port=7%2C7"),
        ("/d?host=a:1&host=b:2", "/d?host=a%2Cb&port=1%2C2"),
        ("/d?host=/run/pg", "/d?host=%2Frun%2Fpg&port=5432"),
        ("u:p@%2Frun%2Fpg/d", "u:p@/d?host=%2Frun%2Fpg&port=5432"),
        ("u:p@%2Frun%2Fpg:6432/d", "u:p@/d?host=%2Frun%2Fpg&port=6432"),
        ("?host=h&port=7&user=u&password=p%40&dbname=d", "u:p%40@h:7/d"),
        ("u:p@[::1]:7/d", "u:p@[::1]:7/d"),
        ("u:p@/d?host=::1", "u:p@[::1]/d"),
        ("/d", "/d"),
        ("u:p%40%2F%3A%25@h/d", "u:p%40%2F%3A%25@h/d"),
        ("u:p/s?s#%@h/d", "u:p%2Fs%3Fs%23%25@h/d"),
    ],
)  # fmt: skip
def test_urls_of_other_tools_are_understood(read: Read, given: str, understood: str) -> None:
    assert url_of(read(DB_URL=f"postgresql://{given}")) == understood
    replica = read(DB_URL="postgresql://h/d", DB_REPLICA_URL=f"postgresql://{given}").settings
    assert replica is not None
    assert str(replica.db.replica_sqlalchemy_url).endswith(f"://{understood}")


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("channel_binding=require", "verify-full"),
        ("gssencmode=require", "TLS"),
        ("require_auth=scram-sha-256", "verify-full"),
        ("sslmode=no-verify", "verify-full"),
        ("ssl=true", "verify-full"),
        ("sslmode=verify-full", "sslrootcert=system"),
        ("sslmode=require&sslrootcert=system", "sslmode=verify-full"),
        ("sslrootcert=system&sslpassword=x", "file"),
        ("sslnegotiation=direct", "sslmode=require"),
        ("sslrootcert=/nowhere", "readable file"),
        ("sslrootcert=/dev/null", "readable file"),
        (f"sslrootcert={__file__}", "PEM"),
        ("passfile=/nowhere", "readable file"),
        ("connect_timeout=0", "1 to 300"),
        ("connect_timeout=soon", "1 to 300"),
        ("options=-c%20statement_timeout%3D1", "DB_STATEMENT_TIMEOUT"),
        ("target_session_attrs=any-which-way", "primary"),
        ("ssl_min_protocol_version=SSLv3", "TLSv1.2"),
        ("application_name=a%00b", "Remove"),
        ("pgbouncer=true", "DB_PGBOUNCER=true"),
        ("statement_cache_size=0", "DB_PGBOUNCER=true"),
        ("prepared_statement_cache_size=0", "DB_PGBOUNCER=true"),
        ("connection_limit=1", "DB_MAX_CONNECTIONS"),
        ("pool_timeout=1", "DB_POOL_TIMEOUT"),
        ("schema=shop", "search_path"),
        ("service=shop", "URL itself"),
        ("application_name=a&application_name=b", "once"),
        ("sslmod=require", "sslmode"),
        ("p=s3cr3t%26", "sslmode"),
        ("s3cr3t!=x", "ercent-encode"),
        ("options=x@s3cr3t", "ercent-encode"),
        ("port=1,2", "port for each"),
        ("host=a,,b", "postgresql://user"),
        ("port=0", "postgresql://user"),
        ("host=x y", "postgresql://user"),
    ],
)
def test_unsupported_parameters_are_refused_with_advice(read: Read, query: str, hint: str) -> None:
    for variable in ("DB_URL", "DB_REPLICA_URL"):
        environ = {"DB_URL": "postgresql://h/d", variable: f"postgresql://u:{SECRET}@h/d?{query}"}
        loaded = read(environ)
        assert faulty(loaded) == [variable]
        assert hint in loaded.errors[0].hint
        assert SECRET not in str(loaded)


def test_a_demand_that_is_not_met_is_always_refused(read: Read) -> None:
    for name in REFUSED:
        loaded = read(DB_URL=f"postgresql://h/d?{name}={SECRET}")
        assert faulty(loaded) == ["DB_URL"]
        assert name in loaded.errors[0].wrong
        assert SECRET not in str(loaded)


@pytest.mark.parametrize("host", ["a/d", "h:5432", "a b", "[::1]", "postgresql://h", "u@h", "h,"])
def test_an_invalid_host_is_refused(read: Read, host: str) -> None:
    assert faulty(read(DB_HOST=host, DB_NAME="d")) == ["DB_HOST"]
    loaded = read(DB_NAME="d", DB_REPLICA_HOST=host)
    assert faulty(loaded) == ["DB_REPLICA_HOST"]


@pytest.mark.parametrize(
    ("host", "understood"),
    [
        ("/run/pg", "u:p%40%2F%3A%25@/d?host=%2Frun%2Fpg&port=6000"),
        ("a,b", "u:p%40%2F%3A%25@/d?host=a%2Cb&port=6000%2C6000"),
        ("::1", "u:p%40%2F%3A%25@[::1]:6000/d"),
    ],
)
def test_the_host_may_be_a_folder_of_a_socket(read: Read, host: str, understood: str) -> None:
    parts = {"DB_HOST": host, "DB_PORT": "6000", "DB_USER": "u", "DB_PASSWORD": "p@/:%"}
    assert url_of(read(parts, DB_NAME="d")) == understood


def test_a_replica_inherits_no_target_session_attrs(read: Read) -> None:
    primary = "postgresql://u:p@a:1,b:2/d?target_session_attrs=read-write&sslmode=require"
    settings = read(DB_URL=primary, DB_REPLICA_HOST="/run/replica").settings
    assert settings is not None
    understood = "u:p@/d?host=%2Frun%2Freplica&port=1&ssl=require"
    assert settings.db.replica_sqlalchemy_url == f"postgresql+asyncpg://{understood}"


def test_no_password_is_shown(read: Read) -> None:
    query = urlencode({"password": SECRET, "sslpassword": SECRET})
    loaded = read(DB_URL=f"postgresql://u@h/d?{query}")
    assert loaded.errors == ()
    assert SECRET not in str(loaded) + loaded.shown["DB_URL"]
