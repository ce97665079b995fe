"""Shows DB_FALLBACK_TO_SQLITE: which commands fall back to a file, when, and what they print."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.cli.readiness import sound_settings
from backstay.settings import load_settings
from backstay.testing import ADMIN_EMAIL, PASSWORD, Templates
from backstay.testing.ports import free_port
from backstay.testing.waiting import until
from tests.cli.conftest import Call
from tests.cli.process import KEYS, Result, serving, workers

AWAY = "postgresql://ann:a-very-own-secret@127.0.0.1:1/shop"
WANTED = {"DB_FALLBACK_TO_SQLITE": "true"}
ASKED_FOR = "DB_FALLBACK_TO_SQLITE"


@pytest.fixture
def postgres_url(templates: Templates, tmp_path: Path) -> Iterator[str]:
    url, remove = templates.copy("postgresql", tmp_path)
    yield url
    remove()


class SilentServer:
    """A server that accepts connections and never answers."""

    def __init__(self) -> None:
        self.taken: list[socket.socket] = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            try:
                self.taken.append(self._door.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self._door.close()
        for connection in self.taken:
            connection.close()


@pytest.fixture
def silent() -> Iterator[SilentServer]:
    found = SilentServer()
    yield found
    found.close()


def test_server_and_workers_fall_back_to_sqlite_after_one_attempt(
    home: Path, silent: SilentServer
) -> None:
    url = f"postgresql://ann:a-very-own-secret@127.0.0.1:{silent.port}/shop"
    (home / ".env").write_text(f"DB_URL={url}\nDB_REPLICA_HOST=127.0.0.1")
    person = {"email": ADMIN_EMAIL, "password": PASSWORD}
    with serving(home, SERVER_WORKERS="2", DB_POOL_TIMEOUT="1", **WANTED) as server:
        until(lambda: server.ask("/readyz") == 200)
        until(lambda: len(workers(server)) >= 2)
        assert server.client.post("/api/v1/auth/login", json=person).status_code == 200
        told = (home / "err").read_text("utf-8")
        for text in ("cannot be reached", ASKED_FOR, "./backstay.db", f"127.0.0.1:{silent.port}"):
            assert text in told
        assert told.count(ASKED_FOR) == 1
        assert "SQLite, ./backstay.db" in server.printed
        assert "a-very-own-secret" not in server.printed
        assert len(silent.taken) == 1


def test_a_worker_falls_back_to_sqlite(tmp_path: Path, call: Call) -> None:
    ended = call("worker", "--drain", DB_URL=AWAY, LOG_DIR="", **WANTED)
    assert ended.code == 0
    assert ASKED_FOR in ended.errors
    assert (tmp_path / "backstay.db").exists()


def test_commands_that_do_not_run_the_application_never_fall_back(
    call: Call, tmp_path: Path
) -> None:
    for command in (["db", "upgrade"], ["db", "check"], ["create-admin"], ["roles"]):
        _is_told(call(*command, DB_URL=AWAY, ADMIN_PASSWORD="correct horse", **WANTED), tmp_path)


def test_without_the_setting_nothing_falls_back(call: Call, tmp_path: Path) -> None:
    for command in (["serve"], ["worker", "--drain"]):
        _is_told(call(*command, "--port", str(free_port()), DB_URL=AWAY), tmp_path)


def _is_told(ended: Result, folder: Path) -> None:
    assert ended.code == 1
    assert ended.errors.count("\n") == 1
    assert "127.0.0.1:1/shop` cannot be reached" in ended.errors
    assert not (folder / "backstay.db").exists()


def test_a_database_that_answers_is_used(call: Call, tmp_path: Path, postgres_url: str) -> None:
    ended = call("worker", "--drain", DB_URL=postgres_url, LOG_DIR="", **WANTED)
    assert (ended.code, ended.output) == (0, "Ran 0 jobs.\n")
    assert ASKED_FOR not in ended.errors
    assert not (tmp_path / "backstay.db").exists()


def test_a_refusing_or_missing_database_does_not_cause_a_fallback(
    call: Call, tmp_path: Path, postgres_url: str
) -> None:
    server, _, name = postgres_url.rpartition("/")
    port = {"SERVER_PORT": str(free_port())}
    stranger = f"postgresql://ann:wrong@{server.rpartition('@')[2]}/{name}"
    for url, text in ((stranger, "refused"), (f"{server}/nothing", "There is no database")):
        wanted = call("serve", DB_URL=url, **port, **WANTED)
        assert (wanted.code, text in wanted.errors) == (1, True)
        assert wanted == call("serve", DB_URL=url, **port)
    assert not (tmp_path / "backstay.db").exists()


def test_outside_local_it_is_refused(call: Call, tmp_path: Path) -> None:
    production = {"ENVIRONMENT": "production", "ADMIN_PASSWORD": "correct horse", **KEYS}
    ended = call("serve", DB_URL=AWAY, **production, **WANTED)
    assert ended.code == 2
    assert f"  {ASKED_FOR}: is on" in ended.errors
    assert "  DB_URL: database" in ended.errors
    assert not (tmp_path / "backstay.db").exists()


@pytest.mark.anyio
@pytest.mark.parametrize("url", [AWAY, "postgresql://nowhere.invalid/shop"])
async def test_child_processes_follow_the_decision_to_fall_back(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    url: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"DB_URL={url}\n{ASKED_FOR}=true")
    monkeypatch.setenv("DB_URL", "")
    settings = await sound_settings()
    assert settings.db.is_sqlite
    assert "cannot be reached" in capsys.readouterr().err
    assert load_settings().db == settings.db
    assert await sound_settings() == settings
    assert capsys.readouterr().err == ""


def test_a_file_that_is_not_migrated_is_a_fault(call: Call, tmp_path: Path) -> None:
    ended = call("serve", DB_URL=AWAY, DB_AUTO_MIGRATE="false", **WANTED)
    assert ended.code == 2
    assert ASKED_FOR in ended.errors
    assert "  DB_URL: names a database that does not exist yet" in ended.errors
    assert not (tmp_path / "backstay.db").exists()
