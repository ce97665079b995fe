"""Shows that relative paths start at the project's root, wherever a command runs."""

from pathlib import Path
from typing import Annotated

import pytest

from backstay.settings import Loaded, Setting, SettingsGroup, load_settings, read_settings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[tool.backstay]\napp = "shop:application"\n')
    return tmp_path


@pytest.fixture
def below(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a folder somewhere in the project."""
    folder = root / "src" / "shop"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def read(**variables: str) -> Loaded:
    loaded = read_settings(variables)
    assert [str(error) for error in loaded.errors] == []
    return loaded


@pytest.mark.usefixtures("below")
def test_defaults_start_at_the_root(root: Path) -> None:
    shown = read().shown
    assert shown["DB_URL"] == f"sqlite+aiosqlite:///{root}/backstay.db"
    assert shown["LOG_DIR"] == f"{root}/logs"
    assert shown["MAIL_DIR"] == f"{root}/.backstay/mail"
    assert shown["MAIL_TEMPLATES_DIR"] == ""


@pytest.mark.usefixtures("below")
def test_every_path_of_the_package_starts_at_the_root(root: Path) -> None:
    (root / "breached").mkdir()
    (root / "breached" / "ABCDE").write_text(f"{'0' * 35}:1\n")
    shown = read(
        DB_URL="sqlite:///data/shop.db",
        LOG_DIR="../logs",
        MAIL_DIR="mails",
        MAIL_TEMPLATES_DIR="./templates",
        SECURITY_BREACHED_PASSWORDS_FILE="breached",
        REDIS_URL="rediss://host?ssl_ca_certs=ca.pem",
        REDIS_CACHE_URL="rediss://other?ssl_ca_certs=/etc/ca.pem",
    ).shown
    assert shown["DB_URL"] == f"sqlite+aiosqlite:///{root}/data/shop.db"
    assert shown["LOG_DIR"] == f"{root}/../logs"
    assert shown["MAIL_DIR"] == f"{root}/mails"
    assert shown["MAIL_TEMPLATES_DIR"] == f"{root}/templates"
    assert shown["SECURITY_BREACHED_PASSWORDS_FILE"] == f"{root}/breached"
    assert shown["REDIS_URL"] == f"rediss://host?ssl_ca_certs={root}/ca.pem"
    assert shown["REDIS_CACHE_URL"] == "rediss://other?ssl_ca_certs=/etc/ca.pem"


@pytest.mark.usefixtures("below")
def test_parts_of_a_url_name_a_file_of_the_root(root: Path) -> None:
    assert read(DB_DRIVER="sqlite").shown["DB_URL"] == f"sqlite+aiosqlite:///{root}/backstay.db"
    shown = read(DB_DRIVER="sqlite", DB_NAME="shop.db").shown
    assert shown["DB_URL"] == f"sqlite+aiosqlite:///{root}/shop.db"


@pytest.mark.usefixtures("below")
def test_absolute_paths_and_no_path_stay(tmp_path: Path) -> None:
    shown = read(DB_URL="sqlite:////var/shop.db", LOG_DIR="", MAIL_DIR="/var/mails").shown
    assert shown["DB_URL"] == "sqlite+aiosqlite:////var/shop.db"
    assert shown["LOG_DIR"] == ""
    assert shown["MAIL_DIR"] == "/var/mails"


@pytest.mark.usefixtures("below")
def test_files_in_a_database_url_start_at_the_root(root: Path) -> None:
    (root / "passwords").touch()
    url = "postgresql://host/shop?passfile=passwords&sslrootcert=system"
    settings = read(DB_URL=url).settings
    assert settings is not None
    query = settings.db.url.parsed.query
    assert query["passfile"] == f"{root}/passwords"
    assert query["sslrootcert"] == "system"


@pytest.mark.usefixtures("below")
def test_secrets_and_the_env_file_are_those_of_the_root(root: Path) -> None:
    (root / ".env").write_text("APP_NAME=Shop\nADMIN_PASSWORD_FILE=password\nnonsense\n")
    (root / "password").write_text("from a file")
    loaded = read(APP_NAEM="x")
    assert loaded.origins["APP_NAME"] == f"{root}/.env"
    assert loaded.origins["ADMIN_PASSWORD"] == f"file {root}/password"
    assert loaded.origins["SECURITY_SECRET_KEY"] == f"created in {root}/.backstay"
    assert loaded.warnings[0].startswith(f"{root}/.env, line 3, is not NAME=value")
    assert (root / ".backstay" / "secret_key").exists()


def test_the_env_file_of_another_folder_is_not_read(below: Path) -> None:
    (below / ".env").write_text("APP_NAME=Shop\n")
    assert read().origins["APP_NAME"] == "default"


def test_nothing_is_created_outside_of_the_root(below: Path) -> None:
    read()
    assert list(below.iterdir()) == []


def test_in_the_root_paths_are_shown_as_written(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    (root / ".env").write_text("APP_NAME=Shop\nMAIL_DIR=mails\n")
    loaded = read()
    assert loaded.shown["DB_URL"] == "sqlite+aiosqlite:///./backstay.db"
    assert loaded.shown["LOG_DIR"] == "./logs"
    assert loaded.shown["MAIL_DIR"] == "mails"
    assert loaded.origins["APP_NAME"] == ".env"
    assert loaded.origins["SECURITY_SECRET_KEY"] == "created in ./.backstay"


def test_a_given_directory_counts_as_the_root(below: Path, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    assert load_settings({}, given).log.dir == f"{given}/logs"
    assert load_settings({}, Path("../../given")).log.dir == f"{below}/../../given/logs"


def test_paths_of_a_projects_group_start_at_the_root(below: Path, root: Path) -> None:
    class Shop(SettingsGroup):
        env_prefix = "SHOP_"

        pictures: Path = Path("pictures")
        prices: Path | None = None
        invoices: Annotated[str, Setting(path=True)] = "./invoices"
        here: Annotated[Path, Setting(path=False)] = Path("here")
        needed: Path

    shop = load_settings({"SHOP_PRICES": "prices.csv", "SHOP_NEEDED": "x"}, groups=[Shop]).of(Shop)
    assert (shop.pictures, shop.prices) == (root / "pictures", root / "prices.csv")
    assert (shop.invoices, shop.needed) == (f"{root}/invoices", root / "x")
    assert shop.here == Path("here")


def test_a_group_built_directly_takes_paths_as_they_are(below: Path) -> None:
    class Shop(SettingsGroup):
        env_prefix = "SHOP_"

        pictures: Path = Path("pictures")

    assert Shop().pictures == Path("pictures")
