"""Shows that every accepted URL reaches the server, for engines and for separate connections."""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from backstay.core.clock import utc_now
from backstay.db import migrate
from backstay.db.engine import reader_engine, writer_engine
from backstay.db.migrations.runner import MigrationError
from backstay.db.migrations.standing import State
from backstay.db.options import EngineOptions, driver_arguments
from backstay.settings import read_settings
from backstay.testing.postgres_server import PostgresServer
from backstay.testing.waiting import LIMIT

PASSWORD = "p%40@/:?#& é"
NAME = 'sh%6Fp /?"x'
ASKED = (
    "SELECT current_setting('application_name'), current_setting('geqo'), current_user, "
    "inet_server_port() IS NULL"
)


async def execute(server: PostgresServer, *statements: str) -> None:
    connection = await asyncpg.connect(
        host=str(server.folder), port=server._port, user="postgres", database="postgres"
    )
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


def certify(folder: Path) -> Path:
    """Make a self-signed certificate for 127.0.0.1, with its key in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), utc_now()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    (folder / "server.pem").write_bytes(certificate.public_bytes(pem) + private)
    return folder / "server.pem"


class TlsProxy:
    """A TLS proxy in front of the server, because the test build of PostgreSQL has no TLS."""

    def __init__(self, certificate: Path, behind: int, *, direct: bool) -> None:
        self.versions: list[str] = []
        self._behind = behind
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._context.set_alpn_protocols(["postgresql"])
        self._direct = direct

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listen; return the port."""
        context = self._context if self._direct else None
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context) as server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if not self._direct:
                await reader.readexactly(8)
                writer.write(b"S")
                await writer.start_tls(self._context)
            self.versions.append(writer.get_extra_info("ssl_object").version())
            theirs, ours = await asyncio.open_connection("127.0.0.1", self._behind)
            await asyncio.gather(_copy(reader, ours), _copy(theirs, writer))
        writer.close()


async def _copy(source: StreamReader, target: StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(65_536):
            target.write(chunk)
        target.close()


@pytest.fixture(scope="module")
def server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """The server, with a user, a password and a database name that need escaping in a URL."""
    postgres.create_database()
    quoted = NAME.replace('"', '""')
    role, database = 'ROLE "me@work"', f'DATABASE "{quoted}"'
    made = f"CREATE {role} LOGIN PASSWORD '{PASSWORD}'"
    gone = (f"DROP {database} WITH (FORCE)", f"DROP {role}")
    asyncio.run(execute(postgres, made, f"CREATE {database}"))
    yield postgres
    asyncio.run(execute(postgres, *gone))


def options_of(folder: Path, **variables: str) -> EngineOptions:
    loaded = read_settings({"DB_POOL_TIMEOUT": str(LIMIT), **variables}, folder)
    assert loaded.settings is not None, loaded.errors
    return EngineOptions.of(loaded.settings)


async def told(options: EngineOptions) -> set[Any]:
    """What the server reports on each kind of connection."""
    found = set()
    for engine in (writer_engine(options), reader_engine(options)):
        async with engine.connect() as connection:
            found.add(tuple((await connection.execute(text(ASKED))).one()))
        await engine.dispose()
    _, arguments = driver_arguments(options, "backstay")
    connection = await asyncpg.connect(**arguments)
    found.add(tuple(await connection.fetchrow(ASKED)))
    await connection.close()
    assert await migrate.state(options) is State.EMPTY
    return found


def forms(server: PostgresServer) -> dict[str, tuple[str, Any]]:
    """URLs with what the server must report: application name, geqo, user, whether by socket."""
    account = f"me%40work:{quote(PASSWORD, safe='')}"
    port, name, socket = server._port, quote(NAME, safe=""), quote(str(server.folder), safe="")
    at = f"{account}@127.0.0.1:{port}/{name}"
    tcp, local = (("backstay", "on", "me@work", by_socket) for by_socket in (False, True))
    several = f"{account}@127.0.0.1:1,{socket}:{port}/{name}"
    return {
        "plain": (f"{at}?sslmode=disable&gssencmode=disable&keepalives=1", tcp),
        "as providers give it": (f"{at}?sslmode=prefer&channel_binding=prefer", tcp),
        "session": (
            f"{at}?application_name=my+shop&options=-c%20geqo%3Doff&connect_timeout=60",
            ("my shop", "off", "me@work", False),
        ),
        "in the query": (
            f"?host=127.0.0.1&port={port}&dbname={name}&user=me%40work"
            f"&password={quote(PASSWORD, safe='')}",
            tcp,
        ),
        "socket": (f"{account}@{socket}:{port}/{name}?sslmode=require", local),
        "socket in the query": (f"/{name}?host={socket}&port={port}&user=me%40work", local),
        "several": (f"{several}?target_session_attrs=read-write", local),
    }


@pytest.mark.parametrize("pgbouncer", ["false", "true"])
async def test_every_form_of_url_connects_to_the_server(
    server: PostgresServer, tmp_path: Path, pgbouncer: str
) -> None:
    for form, (url, expected) in forms(server).items():
        options = options_of(tmp_path, DB_URL=f"postgresql://{url}", DB_PGBOUNCER=pgbouncer)
        assert await told(options) == {expected}, form


async def test_the_host_may_be_a_socket_folder(server: PostgresServer, tmp_path: Path) -> None:
    parts = {"DB_NAME": NAME, "DB_USER": "me@work", "DB_PASSWORD": PASSWORD}
    place = {"DB_HOST": str(server.folder), "DB_PORT": str(server._port)}
    assert await told(options_of(tmp_path, **parts, **place)) == {
        ("backstay", "on", "me@work", True)
    }


@pytest.mark.parametrize("direct", [False, True])
async def test_tls_is_used_as_the_url_asks(
    server: PostgresServer, tmp_path: Path, direct: bool
) -> None:
    certificate = certify(tmp_path)
    front = TlsProxy(certificate, server._port, direct=direct)
    account = f"me%40work:{quote(PASSWORD, safe='')}"
    (tmp_path / "other").mkdir()
    async with front.listening() as port:
        url = f"postgresql://{account}@127.0.0.1:{port}/{quote(NAME, safe='')}"
        url += "?sslnegotiation=direct" if direct else "?sslnegotiation=postgres"
        for query in (
            "sslmode=require",
            f"sslmode=verify-full&sslrootcert={certificate}&ssl_max_protocol_version=TLSv1.2",
            f"sslmode=verify-ca&sslrootcert={certificate}&sslcert={certificate}&sslkey={certificate}",
        ):
            assert len(await told(options_of(tmp_path, DB_URL=f"{url}&{query}"))) == 1
        assert front.versions == [*["TLSv1.3"] * 4, *["TLSv1.2"] * 4, *["TLSv1.3"] * 4]
        for query in (
            f"sslmode=verify-full&sslrootcert={certify(tmp_path / 'other')}",
            "sslrootcert=system",
        ):
            with pytest.raises(MigrationError, match="certificate verify failed"):
                await migrate.state(options_of(tmp_path, DB_URL=f"{url}&{query}"))


async def test_a_replica_is_reached_by_the_same_forms(
    server: PostgresServer, tmp_path: Path
) -> None:
    for form, (url, expected) in forms(server).items():
        options = options_of(
            tmp_path, DB_URL="postgresql://nowhere/x", DB_REPLICA_URL=f"postgresql://{url}"
        )
        engine = reader_engine(options, replica=True)
        async with engine.connect() as connection:
            assert tuple((await connection.execute(text(ASKED))).one()) == expected, form
        await engine.dispose()


async def test_a_refusal_by_the_server_is_reported_without_passwords(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = urlsplit(postgres.create_database())
    wrong = f"postgresql://postgres:s3cr3t@127.0.0.1:{parts.port}"
    for url in (
        f"{wrong}/postgres?sslpassword=s3cr3t",
        f"{wrong}/postgres?sslmode=require",
        f"{wrong}/postgres?options=nonsense",
        f"{wrong}/postgres?target_session_attrs=standby",
        f"postgresql:///postgres?host={quote(str(tmp_path))}&password=s3cr3t",
        f"postgresql://postgres:s3cr3t@127.0.0.1:1,{quote(str(tmp_path), safe='')}/postgres",
        f"{wrong}/a%00b",
    ):
        with pytest.raises(MigrationError) as refused:
            await migrate.state(options_of(tmp_path, DB_URL=url))
        assert "s3cr3t" not in str(refused.value)
    monkeypatch.setenv("PGSSLMODE", "nonsense")
    with pytest.raises(MigrationError, match="sslmode"):
        await migrate.state(options_of(tmp_path, DB_URL=parts.geturl()))
