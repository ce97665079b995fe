"""Shows the secrets of a developer's machine: created once, private, and only in `local`."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from pydantic import SecretStr

from backstay.settings import Loaded, load_settings
from backstay.settings.files import kept_secret
from tests.settings.reading import Read, faulty

STRONG = "q9Wm3Xr7Tz1Lk5Vb8Np2Hs6Yd4Gf0JcAeUiOtRwEy"
STARTS = 16


def secrets(loaded: Loaded) -> tuple[SecretStr, SecretStr]:
    assert loaded.settings is not None
    return loaded.settings.security.secret_key, loaded.settings.security.refresh_token_secret


def test_local_secrets_are_created_once_and_kept(read: Read) -> None:
    first, second = read(), read()
    assert secrets(first) == secrets(second)
    key, refresh = secrets(first)
    assert key != refresh
    assert len(key.get_secret_value()) == len(refresh.get_secret_value()) == 64
    for loaded in (first, second):
        assert loaded.origins["SECURITY_SECRET_KEY"] == "created in ./.backstay"
        assert loaded.origins["SECURITY_REFRESH_TOKEN_SECRET"] == "created in ./.backstay"


def test_nobody_else_can_read_them(read: Read, tmp_path: Path) -> None:
    read()
    folder = tmp_path / ".backstay"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.glob("[!.]*"))
    assert sorted(file.name for file in files) == ["refresh_token_secret", "secret_key"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


@pytest.mark.parametrize("environment", ["staging", "production", "nonsense"])
def test_none_is_created_outside_local(read: Read, tmp_path: Path, environment: str) -> None:
    assert read(ENVIRONMENT=environment).settings is None
    assert list(tmp_path.iterdir()) == []


def test_kept_ones_are_not_used_outside_local(read: Read) -> None:
    read()
    loaded = read(ENVIRONMENT="production")
    assert {fault.variable for fault in loaded.errors} == {
        "SECURITY_SECRET_KEY",
        "SECURITY_REFRESH_TOKEN_SECRET",
    }


def test_a_given_secret_is_not_replaced(read: Read, tmp_path: Path) -> None:
    loaded = read(SECRET_KEY=STRONG)
    assert secrets(loaded)[0].get_secret_value() == STRONG
    kept = (tmp_path / ".backstay").glob("[!.]*")
    assert [file.name for file in kept] == ["refresh_token_secret"]


def test_git_ignores_them(read: Read, tmp_path: Path) -> None:
    read()
    assert (tmp_path / ".backstay" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("algorithm", ["RS256", "Ed25519", "EdDSA", "nonsense"])
def test_a_private_key_is_not_created(read: Read, tmp_path: Path, algorithm: str) -> None:
    assert read(SECURITY_ALGORITHM=algorithm).settings is None
    assert not (tmp_path / ".backstay" / "secret_key").exists()


def test_starts_at_the_same_moment_agree(tmp_path: Path) -> None:
    barrier = Barrier(STARTS)

    def start(_: int) -> tuple[str, str]:
        barrier.wait()
        security = load_settings({}, tmp_path).security
        return (
            security.secret_key.get_secret_value(),
            security.refresh_token_secret.get_secret_value(),
        )

    with ThreadPoolExecutor(STARTS) as pool:
        assert len(set(pool.map(start, range(STARTS)))) == 1


def test_a_start_waits_for_a_secret_that_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".backstay" / "secret_key"
    path.parent.mkdir()
    path.touch()
    monkeypatch.setattr("time.sleep", lambda _: path.write_text(STRONG))
    assert kept_secret(tmp_path, "secret_key") == STRONG


def test_an_empty_file_is_a_fault(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    (tmp_path / ".backstay").mkdir()
    (tmp_path / ".backstay" / "secret_key").touch()
    loaded = read()
    assert faulty(loaded) == ["SECURITY_SECRET_KEY"]
    assert "its file is empty" in loaded.errors[0].wrong


def test_a_place_that_cannot_hold_them_is_a_fault_each(read: Read, tmp_path: Path) -> None:
    (tmp_path / ".backstay").write_text("not a directory")
    loaded = read()
    assert faulty(loaded) == [
        "SECURITY_SECRET_KEY",
        "SECURITY_REFRESH_TOKEN_SECRET",
    ]
    assert "cannot be kept in ./.backstay" in loaded.errors[0].wrong
