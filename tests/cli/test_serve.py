"""Shows a first run and the next: what is made, what is told, how the server stops."""

import re
import signal
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.cli.process import KEYS, PATIENCE, Server, none_lives, run, serving

PASSWORD = re.compile(r"^Password +(\S+) \(shown only now\)$", re.MULTILINE)


def sign_in(server: Server, email: str, password: str) -> int:
    """The status of a login with the OAuth2 password form."""
    form = {"grant_type": "password", "username": email, "password": password}
    return server.client.post("/api/v1/auth/login", data=form).status_code


def mail_to_a_stranger(server: Server) -> str:
    """The mail that somebody who registers is sent, as the mailbox shows it."""
    person = {"email": "stranger@example.org", "password": "correct horse"}
    assert server.client.post("/api/v1/users", json=person).status_code == 201
    deadline = time.monotonic() + PATIENCE
    while not (
        found := re.search(r'"(/dev/mailbox/[^"]+)"', server.client.get("/dev/mailbox").text)
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return server.client.get(found[1]).text


def test_a_first_run_makes_and_tells_everything_and_the_next_tells_no_password(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as server:
        banner = server.printed
        found = PASSWORD.findall(banner)
        assert len(found) == 1
        assert sign_in(server, "admin@example.com", found[0]) == 200
        assert sign_in(server, "admin@example.com", f"{found[0]}x") == 401
        assert server.client.get("/health").json()["status"] == "ok"
        url = str(server.client.base_url)
        for text in (f"{url}\n", f"{url}/docs\n", "local", "SQLite, ./backstay.db", "rate limits"):
            assert text in banner
        assert f"{url}/verify-email?token=" in mail_to_a_stranger(server)
        assert banner.isascii()
        assert "\x1b" not in banner
        processes = server.family()
        assert len(processes) > 1
        assert server.stop(signal.SIGTERM) == 0
        assert none_lives(processes)
        assert found[0] not in server.printed.removeprefix(banner)
    assert (tmp_path / "backstay.db").exists()
    for secret in ("secret_key", "refresh_token_secret"):
        assert (tmp_path / ".backstay" / secret).stat().st_mode & 0o777 == 0o600

    with serving(tmp_path) as server:
        assert "Password" not in server.printed
        assert "Administrator" not in server.printed
        assert sign_in(server, "admin@example.com", found[0]) == 200
        processes = server.family()
        assert server.stop(signal.SIGINT, group=True) == 0
        assert none_lives(processes)


def test_a_given_password_is_not_printed_and_silent_connections_end(tmp_path: Path) -> None:
    given = {"ADMIN_EMAIL": "ann@example.com", "ADMIN_PASSWORD": "correct horse"}
    with serving(tmp_path, SERVER_WORKERS="2", SERVER_TIMEOUT="1", **given) as server:
        assert "ann@example.com" in server.printed
        assert "correct horse" not in server.printed
        assert sign_in(server, "ann@example.com", "correct horse") == 200
        with socket.create_connection(("127.0.0.1", server.client.base_url.port)) as silent:
            silent.settimeout(PATIENCE)
            assert silent.recv(1) == b""
        processes = server.family()
        assert server.stop(signal.SIGHUP) == 0
        assert none_lives(processes)


def test_outside_local_it_serves_a_database_that_was_prepared(tmp_path: Path) -> None:
    variables = {"ENVIRONMENT": "production", "ADMIN_PASSWORD": "correct horse", **KEYS}
    assert run(tmp_path, "db", "upgrade", **variables).code == 0
    with serving(tmp_path, **variables) as server:
        assert "docs" not in server.printed
        assert sign_in(server, "admin@example.com", "correct horse") == 200


def test_an_edited_file_starts_it_anew(tmp_path: Path) -> None:
    with serving(tmp_path, "--reload") as server:
        before = server.family()
        (tmp_path / "edited.py").write_text("")
        deadline = time.monotonic() + PATIENCE
        while before <= server.family() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not before <= server.family()
        assert server.stop(signal.SIGTERM) == 0


def test_a_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run(tmp_path, "serve", SERVER_PORT=str(port))
    assert ended.code == 1
    for text in (f"Port {port} of 127.0.0.1 is in use", "SERVER_PORT", "--port"):
        assert text in ended.errors
    assert not (tmp_path / "backstay.db").exists()


def test_a_host_that_is_not_this_one_is_a_sentence_after_the_warnings(tmp_path: Path) -> None:
    ended = run(tmp_path, "serve", "--host", "192.0.2.1", SERVER_PROT="80")
    assert ended.code == 1
    assert ended.errors.startswith("Warning: SERVER_PROT")
    assert "Cannot listen on port 8000 of 192.0.2.1" in ended.errors
    assert "SERVER_HOST" in ended.errors


def test_production_with_nothing_set_names_every_fault_at_once(tmp_path: Path) -> None:
    ended = run(tmp_path, "serve", ENVIRONMENT="production")
    assert ended.code == 2
    assert "4 faults" in ended.errors
    for name in ("SECURITY_SECRET_KEY", "SECURITY_REFRESH_TOKEN_SECRET", "DB_URL"):
        assert f"  {name}: " in ended.errors
    assert "  ADMIN_PASSWORD: " in ended.errors
    assert "backstay db upgrade" in ended.errors
    assert list(tmp_path.iterdir()) == []


def test_a_well_known_secret_is_refused_in_production(tmp_path: Path) -> None:
    variables = {**KEYS, "SECURITY_SECRET_KEY": "changethis"}
    ended = run(tmp_path, "serve", ENVIRONMENT="production", **variables)
    assert ended.code == 2
    assert "  SECURITY_SECRET_KEY: is well known" in ended.errors
    assert "changethis" not in ended.errors


def test_a_database_of_a_newer_version_is_a_sentence(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "backstay.db")) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('from_the_future')")
    ended = run(tmp_path, "serve")
    assert ended.code == 1
    assert ended.errors.count("\n") == 1
    assert "newer version" in ended.errors
