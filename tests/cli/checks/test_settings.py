"""Shows what is found of this machine, of secrets, and of settings that are seldom meant."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_urlsafe
from types import SimpleNamespace

import pytest

from backstay.cli.checks import host, secrets
from tests.cli.checks.looking import PRODUCTION, look, subject_of

LONG = token_urlsafe(24)
SAFE = PRODUCTION | {"APP_PUBLIC_URL": "https://shop.example"}

NO_HOSTS = (
    "warning: SERVER_TRUSTED_HOSTS is empty: any name is answered. "
    "Set it to the names that are meant, such as"
)
UNKNOWN = "warning: SERVER_PROT (environment) is not a setting;"
FOLDER_GONE = (
    "error: The database /gone/x.db cannot be opened: its folder is missing. "
    "Make it, or correct the address."
)


@pytest.mark.parametrize(
    ("name", "variables", "told"),
    [
        ("server.public-url", PRODUCTION, "error: APP_PUBLIC_URL is http://127.0.0.1:8000"),
        ("server.public-url", PRODUCTION | {"APP_PUBLIC_URL": "http://a.example"}, "warning: "),
        ("server.public-url", SAFE, "ok: https://shop.example"),
        ("server.public-url", {}, ""),
        ("server.proxies", SAFE, "warning: SERVER_TRUSTED_PROXIES is empty"),
        ("server.proxies", SAFE | {"SERVER_TRUSTED_PROXIES": "10.0.0.0/8"}, "ok: 1 networks"),
        ("server.hosts", SAFE, f"{NO_HOSTS} shop.example."),
        ("server.hosts", PRODUCTION, f"{NO_HOSTS} api.example.com."),
        ("server.hosts", SAFE | {"SERVER_TRUSTED_HOSTS": "b.example"}, "error: SERVER_TRUSTED_H"),
        ("server.hosts", SAFE | {"SERVER_TRUSTED_HOSTS": "*.example"}, "ok: *.example"),
        ("server.cors", SAFE | {"APP_CORS_ORIGINS": "http://a.example"}, "warning: APP_CORS_ORI"),
        ("server.cors", SAFE | {"APP_CORS_ORIGINS": "http://localhost:1"}, "warning: APP_CORS_O"),
        ("server.cors", SAFE | {"APP_CORS_ORIGINS": "https://a.example"}, ""),
        ("server.limits", SAFE | {"RATE_LIMIT_ENABLED": "false"}, "warning: RATE_LIMIT_ENABLED"),
        ("server.limits", {"SERVER_WORKERS": "3"}, "warning: Each of 3 processes"),
        ("server.limits", SAFE, "note: Requests are counted in the process."),
        ("server.metrics", SAFE, "warning: Nobody can read /metrics"),
        ("server.metrics", SAFE | {"APP_METRICS_TOKEN": LONG}, "ok: "),
        ("secrets.strength", SAFE, "ok: "),
        ("secrets.strength", SAFE | {"APP_METRICS_TOKEN": "short"}, "warning: APP_METRICS_TOKEN"),
        ("secrets.strength", SAFE | {"DB_URL": "postgres://a:secret@h/b"}, "warning: The password"),
        ("secrets.strength", SAFE | {"DB_URL": f"postgres://a:{LONG}@h/b"}, "ok: "),
        ("secrets.strength", SAFE | {"REDIS_URL": "redis://h/0"}, "note: Redis at h is used with"),
        ("project.application", {"SERVER_PORT": "x"}, "note: The settings are wrong, so the appl"),
        ("project.settings", {"SERVER_PROT": "1"}, f"{UNKNOWN} did you mean SERVER_PORT? Correct"),
        ("database.reachable", {"DB_URL": "sqlite:////gone/x.db"}, FOLDER_GONE),
        ("project.settings", SAFE | {"APP_DEBUG": "true"}, "error: APP_DEBUG is on"),
    ],
)
async def test_settings_that_are_seldom_meant_are_told(
    tmp_path: Path, name: str, variables: dict[str, str], told: str
) -> None:
    found = (await look(subject_of(tmp_path, **variables), name))[name]
    assert found.startswith(told) if told else not found, found


async def test_secrets_that_others_can_read_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / ".env"
    file.write_text("")
    judged = {}
    for mode in (0o600, 0o644, 0o666):
        file.chmod(mode)
        found = await look(subject_of(tmp_path, **SAFE), "secrets.files")
        judged[mode] = found["secrets.files"].partition(":")[0]
    assert judged == {0o600: "ok", 0o644: "warning", 0o666: "error"}
    mended = secrets.file_finding(file, local=True)
    assert mended is not None
    assert mended.mend == f"Run: chmod 600 {file}"
    file.chmod(0o644)
    assert "note" in str(secrets.file_finding(file, local=True))


@pytest.mark.parametrize("name", ["BACKUP_KEY_FILE", "APP_METRICS_TOKEN_FILE", "SENTRY_DSN_FILE"])
async def test_files_of_secrets_are_found_by_their_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "secret"
    file.touch(mode=0o644)
    monkeypatch.setenv(name, str(file))
    found = await look(subject_of(tmp_path, **SAFE), "secrets.files")
    assert found["secrets.files"].startswith(f"warning: Others on this machine can read {file}.")


def test_the_password_for_backups_is_hidden(tmp_path: Path) -> None:
    variables = {"DB_URL": "postgres://a:first@h/b", "BACKUP_DB_URL": "postgres://c:seventh@h/b"}
    assert "seventh" not in subject_of(tmp_path, **variables).hide("refused: seventh")


async def test_folders_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    subject = subject_of(tmp_path, LOG_DIR=str(tmp_path / "logs"))
    told = await look(subject, "host.folders")
    assert told["host.folders"].startswith(f"error: {tmp_path / 'logs'} (LOG_DIR) is no folder.")
    subject = subject_of(tmp_path, LOG_DIR="/proc/nothing")
    assert "Nothing can be written to /proc (LOG_DIR)" in str(await look(subject, "host.folders"))


async def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    told = await look(subject_of(tmp_path), "host.disk")
    assert "1 MiB are free: writes fail." in told["host.disk"]
    assert host.disk_finding("/", 2**29).severity == "warning"
    assert host.disk_finding("/", 2**40, inodes=0).severity == "error"


def test_limits_and_versions_of_the_machine_are_judged() -> None:
    judged = [host.open_files_finding(soft, 100, hard=4096).severity for soft in (64, 1024, 4096)]
    assert judged == ["error", "warning", "ok"]
    now = datetime(2027, 12, 1, tzinfo=UTC)
    judged = [host.python_finding((3, minor), now).severity for minor in (11, 12, 99)]
    assert judged == ["warning", "ok", "note"]
