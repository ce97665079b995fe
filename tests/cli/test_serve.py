"""Shows a first and a second run of `serve`, what they print, and what stops the start."""

import re
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from backstay.cli.readiness import free_address
from backstay.testing.ports import free_port
from backstay.testing.waiting import until
from tests.cli.conftest import Call
from tests.cli.process import KEYS, WELL, Server, none_lives, serving
from tests.files import look_into
from tests.settings.test_files import pipe

GIVEN = "correct horse"
PASSWORD = re.compile(r"^Password +(\S+) \(shown only now\)$", re.MULTILINE)


def sign_in(server: Server, email: str, password: str) -> int:
    """The status of a login with the OAuth2 password form."""
    form = {"grant_type": "password", "username": email, "password": password}
    return server.client.post("/api/v1/auth/login", data=form).status_code


def mail_to_a_stranger(server: Server) -> str:
    """The mail to a newly registered user, as the mailbox shows it."""
    person = {"email": "stranger@example.org", "password": "correct horse"}
    assert server.client.post("/api/v1/users", json=person).status_code == 201
    link = re.compile(r'"(/dev/mailbox/[^"]+)"')
    found = until(lambda: link.search(server.client.get("/dev/mailbox").text))
    assert found is not None
    return server.client.get(found[1]).text


def test_only_the_first_run_prints_the_generated_password(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as server:
        banner = server.printed
        found = PASSWORD.findall(banner)
        assert len(found) == 1
        assert sign_in(server, "admin@example.com", found[0]) == 200
        assert sign_in(server, "admin@example.com", f"{found[0]}x") == 401
        until(lambda: server.client.get("/health").json()["status"] == WELL)
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
        assert server.printed.count(found[0]) == 1
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


@pytest.fixture(scope="module")
def reloading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A first run with a given password and `--reload`: it restarts when a Python file changes."""
    given = {"ADMIN_EMAIL": "ann@example.com", "ADMIN_PASSWORD": GIVEN}
    with serving(tmp_path_factory.mktemp("reloading"), "--reload", **given) as server:
        yield server


def test_a_reloading_server_says_that_it_is_ready(reloading: Server) -> None:
    until(lambda: f"\nReady: http://127.0.0.1:{reloading.port}\n" in reloading.printed)


def test_a_given_password_is_not_printed(reloading: Server) -> None:
    assert "ann@example.com" in reloading.printed
    assert GIVEN not in reloading.printed
    assert sign_in(reloading, "ann@example.com", GIVEN) == 200


def test_an_edited_source_file_restarts_the_server(reloading: Server) -> None:
    before = reloading.family()
    (reloading.folder / "edited.py").write_text("")
    until(lambda: not before <= reloading.family())


def test_sighup_stops_the_server_and_all_its_processes(reloading: Server) -> None:
    processes = reloading.family()
    assert reloading.stop(signal.SIGHUP) == 0
    assert none_lives(processes)


def test_outside_local_it_serves_a_database_that_was_prepared(tmp_path: Path, call: Call) -> None:
    variables = {"ENVIRONMENT": "production", "ADMIN_PASSWORD": GIVEN, **KEYS}
    assert call("db", "upgrade", **variables).code == 0
    with serving(tmp_path, SERVER_DRAIN_SECONDS="0", **variables) as server:
        assert "docs" not in server.printed
        assert sign_in(server, "admin@example.com", GIVEN) == 200


def test_a_port_in_use_ends_in_a_sentence(tmp_path: Path, call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = call("serve", SERVER_PORT=str(port))
    assert ended.code == 1
    for text in (f"Port {port} of 127.0.0.1 is in use", "SERVER_PORT", "--port"):
        assert text in ended.errors
    assert not (tmp_path / "backstay.db").exists()


def test_the_console_has_no_port_of_the_api(tmp_path: Path, call: Call) -> None:
    port = str(free_port())
    ended = call("serve", "--port", port, ADMIN_CONSOLE_PORT=port)
    assert ended.code == 1
    assert "ADMIN_CONSOLE_PORT" in ended.errors
    assert not (tmp_path / "backstay.db").exists()


def _has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no address ::1")


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def test_the_check_of_the_address_takes_no_connection(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would reset the connection of a client that comes at that moment."""

    def listen(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(socket.socket, "listen", listen)
    port = free_port()
    assert free_address(host, port) == (host, port)


def test_an_address_of_another_host_ends_in_a_sentence(call: Call) -> None:
    ended = call("serve", "--host", "192.0.2.1", SERVER_PROT="80")
    assert ended.code == 1
    assert ended.errors.startswith("Warning: SERVER_PROT")
    assert "Cannot listen on port 8000 of 192.0.2.1" in ended.errors
    assert "SERVER_HOST" in ended.errors


def test_production_with_nothing_set_names_every_fault_at_once(tmp_path: Path, call: Call) -> None:
    ended = call("serve", ENVIRONMENT="production")
    assert ended.code == 2
    assert "4 faults" in ended.errors
    for name in ("SECURITY_SECRET_KEY", "SECURITY_REFRESH_TOKEN_SECRET", "DB_URL"):
        assert f"  {name}: " in ended.errors
    assert "  ADMIN_PASSWORD: " in ended.errors
    assert "backstay db upgrade" in ended.errors
    assert list(tmp_path.iterdir()) == []


def test_a_well_known_secret_is_refused_in_production(call: Call) -> None:
    variables = {**KEYS, "SECURITY_SECRET_KEY": "changethis"}
    ended = call("serve", ENVIRONMENT="production", **variables)
    assert ended.code == 2
    assert "  SECURITY_SECRET_KEY: is well known" in ended.errors
    assert "changethis" not in ended.errors


def test_a_database_of_a_newer_version_ends_in_a_sentence(tmp_path: Path, call: Call) -> None:
    with look_into(tmp_path / "backstay.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('from_the_future')")
    ended = call("serve", SERVER_PORT=str(free_port()))
    assert ended.code == 1
    assert ended.errors.count("\n") == 1
    assert "newer version" in ended.errors


def test_settings_from_a_pipe_reach_every_process_of_a_server(home: Path) -> None:
    with (
        pipe(home / ".env", "APP_TITLE=From a pipe\nAPP_METRICS_TOKEN_FILE=token\n"),
        pipe(home / "token", "a token of the metrics, from a pipe"),
        serving(home, SERVER_TYPE="uvicorn") as server,
    ):
        assert server.client.get("/openapi.json").json()["info"]["title"] == "From a pipe"
