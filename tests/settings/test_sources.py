"""Shows where values come from (environment, `.env`, files, other names), and the warnings."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from backstay.settings import (
    Environment,
    ServerSettings,
    load_settings,
    read_settings,
)
from tests.settings.reading import Read, faulty


def test_an_empty_environment_is_a_working_local_configuration(read: Read) -> None:
    loaded = read()
    assert loaded.errors == ()
    assert loaded.warnings == ()
    assert loaded.settings is not None
    assert loaded.settings.environment is Environment.LOCAL
    assert loaded.settings.is_local


def test_development_means_local(read: Read) -> None:
    loaded = read(ENVIRONMENT="development")
    assert loaded.settings is not None
    assert loaded.settings.environment is Environment.LOCAL
    assert loaded.shown["ENVIRONMENT"] == "local"


@pytest.mark.parametrize("name", ["staging", "production"])
def test_everything_else_is_not_local(read: Read, production: dict[str, str], name: str) -> None:
    settings = read(production, ENVIRONMENT=name).settings
    assert settings is not None
    assert settings.environment == name
    assert not settings.is_local


def test_environment_beats_dotenv_and_dotenv_beats_the_default(read: Read, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SERVER_PORT=7000\nSERVER_HOST=0.0.0.0\n")
    loaded = read(SERVER_PORT="9000")
    assert loaded.settings is not None
    assert loaded.settings.server.port == 9000
    assert loaded.settings.server.host == "0.0.0.0"
    assert loaded.settings.server.timeout == 60
    assert loaded.origins["SERVER_PORT"] == "environment"
    assert loaded.origins["SERVER_HOST"] == ".env"
    assert loaded.origins["SERVER_TIMEOUT"] == "default"


def test_a_settings_own_name_is_stronger_than_its_other_name(read: Read) -> None:
    loaded = read(SERVER_PORT="9000", PORT="7000")
    assert loaded.settings is not None
    assert loaded.settings.server.port == 9000
    assert loaded.origins["SERVER_PORT"] == "environment"


def test_the_environment_is_stronger_than_dotenv_even_by_another_name(
    read: Read, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("SERVER_PORT=7000\n")
    loaded = read(PORT="9000")
    assert loaded.settings is not None
    assert loaded.settings.server.port == 9000
    assert loaded.origins["SERVER_PORT"] == "environment (PORT)"


@pytest.mark.parametrize(
    ("other", "value", "variable"),
    [
        ("PORT", "9000", "SERVER_PORT"),
        ("DATABASE_URL", "postgres://host/name", "DB_URL"),
        ("SECRET_KEY", "k7Qw2ZrT9xLm4Vb8Np1Hs6Yd3Gf5Jc0AeUiOtRwE", "SECURITY_SECRET_KEY"),
    ],
)
def test_other_names_are_understood_wherever_they_stand(
    read: Read, tmp_path: Path, other: str, value: str, variable: str
) -> None:
    loaded = read({other: value})
    assert loaded.errors == ()
    assert loaded.origins[variable] == f"environment ({other})"
    (tmp_path / ".env").write_text(f"{other}={value}\n")
    assert read().origins[variable] == f".env ({other})"


def test_a_fault_names_where_the_value_was_given(read: Read) -> None:
    fault = read(PORT="eighty").errors[0]
    assert fault.variable == "SERVER_PORT"
    assert fault.wrong.endswith("(given by environment (PORT))")


def test_empty_means_not_set(read: Read) -> None:
    loaded = read(SERVER_PORT="", PORT=" ", DB_URL="", ADMIN_PASSWORD="", LOG_LEVEL="")
    assert loaded.errors == ()
    assert loaded.origins["SERVER_PORT"] == "default"


def test_an_empty_value_counts_less_than_another_name(read: Read) -> None:
    loaded = read(SERVER_PORT="", PORT="9000")
    assert loaded.settings is not None
    assert loaded.settings.server.port == 9000


def test_lower_case_names_are_not_read(read: Read) -> None:
    loaded = read(server_port="9000")
    assert loaded.settings is not None
    assert loaded.settings.server.port == 8000
    assert loaded.warnings == (
        "server_port (environment) is not a setting; did you mean SERVER_PORT?",
    )


class TestFiles:
    def test_a_secret_file_is_read_without_its_last_newline(
        self, read: Read, tmp_path: Path
    ) -> None:
        path = tmp_path / "password"
        path.write_text("from a file\n")
        loaded = read(ADMIN_PASSWORD_FILE=str(path))
        assert loaded.settings is not None
        assert loaded.settings.admin.password is not None
        assert loaded.settings.admin.password.get_secret_value() == "from a file"
        assert loaded.origins["ADMIN_PASSWORD"] == f"file {path}"

    def test_a_relative_path_starts_at_the_directory(self, read: Read, tmp_path: Path) -> None:
        (tmp_path / "password").write_text("from a file")
        assert read(ADMIN_PASSWORD_FILE="password").errors == ()

    @pytest.mark.parametrize(
        "name",
        [
            "APP_METRICS_TOKEN",
            "DB_PASSWORD",
            "DB_REPLICA_PASSWORD",
            "SECURITY_SECRET_KEY",
            "SECRET_KEY",
            "SECURITY_PREVIOUS_KEYS",
            "SECURITY_REFRESH_TOKEN_SECRET",
            "ADMIN_PASSWORD",
        ],
    )
    def test_every_secret_can_be_a_file(self, read: Read, tmp_path: Path, name: str) -> None:
        path = tmp_path / "secret"
        path.write_text("q9Wm3Xr7Tz1Lk5Vb8Np2Hs6Yd4Gf0JcAeUiOtRwEy")
        assert f"file {path}" in read({f"{name}_FILE": str(path), "DB_NAME": "x"}).origins.values()

    def test_a_database_url_can_be_a_file(self, read: Read, tmp_path: Path) -> None:
        (tmp_path / "url").write_text("postgres://u:p@host/name\n")
        settings = read(DATABASE_URL_FILE="url").settings
        assert settings is not None
        assert settings.db.sqlalchemy_url == "postgresql+asyncpg://u:p@host/name"

    def test_the_value_itself_is_stronger_than_its_file(self, read: Read, tmp_path: Path) -> None:
        (tmp_path / "password").write_text("from a file")
        loaded = read(ADMIN_PASSWORD="given itself", ADMIN_PASSWORD_FILE="password")
        assert loaded.origins["ADMIN_PASSWORD"] == "environment"

    def test_a_missing_file_is_a_fault_without_repeating_the_path(self, read: Read) -> None:
        loaded = read(ADMIN_PASSWORD_FILE="/run/secrets/pasted-by-mistake")
        assert faulty(loaded) == ["ADMIN_PASSWORD_FILE"]
        assert "No such file" in loaded.errors[0].wrong
        assert "pasted-by-mistake" not in str(loaded.errors[0])

    def test_an_unreadable_secret_is_not_also_called_missing_or_created(
        self, read: Read, tmp_path: Path
    ) -> None:
        loaded = read(SECURITY_SECRET_KEY_FILE="absent")
        assert faulty(loaded) == ["SECURITY_SECRET_KEY_FILE"]
        assert not (tmp_path / ".backstay" / "secret_key").exists()

    @pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\x00"])
    def test_an_empty_or_binary_file_is_a_fault(
        self, read: Read, tmp_path: Path, content: bytes
    ) -> None:
        (tmp_path / "secret").write_bytes(content)
        assert faulty(read(ADMIN_PASSWORD_FILE="secret")) == ["ADMIN_PASSWORD_FILE"]

    def test_a_directory_is_a_fault(self, read: Read, tmp_path: Path) -> None:
        assert faulty(read(ADMIN_PASSWORD_FILE=str(tmp_path))) == ["ADMIN_PASSWORD_FILE"]

    def test_a_setting_that_is_no_secret_has_no_file_variable(self, read: Read) -> None:
        loaded = read(SERVER_HOST_FILE="absent")
        assert loaded.errors == ()
        assert len(loaded.warnings) == 1


class TestDotEnv:
    def test_quotes_comments_and_export_are_understood_and_dollars_kept(
        self, read: Read, tmp_path: Path
    ) -> None:
        (tmp_path / ".env").write_text(
            '\ufeff# first\nexport APP_NAME="My shop"\nAPP_DESCRIPTION=cheap # and good\n'
            "ADMIN_PASSWORD='pa$${HOME}$HOME'\n"
        )
        settings = read(HOME="expanded").settings
        assert settings is not None
        assert settings.app.name == "My shop"
        assert settings.app.description == "cheap"
        assert settings.admin.password is not None
        assert settings.admin.password.get_secret_value() == "pa$${HOME}$HOME"

    def test_only_the_given_directory_is_read(
        self, read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / ".env").write_text("SERVER_PORT=7000\n")
        monkeypatch.chdir(elsewhere)
        assert read().origins["SERVER_PORT"] == "default"

    def test_a_broken_line_is_warned_of_and_not_repeated(self, read: Read, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("SERVER_PORT=7000\nADMIN_PASSWORD\n'open=secret\n")
        loaded = read()
        assert loaded.errors == ()
        assert len(loaded.warnings) == 2
        assert "line 2" in loaded.warnings[0]
        assert "secret" not in "".join(loaded.warnings)

    def test_a_file_that_is_not_utf8_is_a_fault(self, read: Read, tmp_path: Path) -> None:
        (tmp_path / ".env").write_bytes(b"APP_NAME=\xff\xfe\n")
        assert faulty(read()) == [".env"]
        assert not (tmp_path / ".backstay").exists()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
    def test_a_file_that_cannot_be_read_is_a_fault(self, read: Read, tmp_path: Path) -> None:
        path = tmp_path / ".env"
        path.touch(mode=0o000)
        assert faulty(read()) == [".env"]


class TestUnknownVariables:
    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("SERVER_PROT", "SERVER_PORT"),
            ("APP_CORS_ORIGIN", "APP_CORS_ORIGINS"),
            ("SECURITY_SECRETKEY", "SECURITY_SECRET_KEY"),
            ("ENVIROMENT", "ENVIRONMENT"),
            ("DATABASE_URI", "DATABASE_URL"),
            ("APP_ENVIRONMENT", "ENVIRONMENT"),
        ],
    )
    def test_a_misspelt_setting_is_warned_of_with_what_was_meant(
        self, read: Read, name: str, meant: str
    ) -> None:
        loaded = read({name: "hidden value"})
        assert loaded.errors == ()
        assert loaded.warnings == (f"{name} (environment) is not a setting; did you mean {meant}?",)

    def test_an_unknown_setting_is_warned_of(self, read: Read, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("DB_COLOUR=blue\n")
        assert read().warnings == ("DB_COLOUR (.env) is not a setting",)

    def test_variables_of_others_are_left_alone(self, read: Read, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("GRAFANA_USER=x\n")
        assert read(PATH="/bin", HOME="/root", REPORT="x", AWS_SECRET_KEY="x").warnings == ()


def test_without_arguments_the_process_and_its_directory_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SERVER_PORT", "9000")
    (tmp_path / ".env").write_text("SERVER_HOST=0.0.0.0\n")
    loaded = read_settings()
    assert loaded.shown["SERVER_PORT"] == "9000"
    assert loaded.shown["SERVER_HOST"] == "0.0.0.0"


def test_settings_are_frozen(tmp_path: Path) -> None:
    settings = load_settings({}, tmp_path)
    with pytest.raises(ValidationError):
        settings.server.port = 1  # type: ignore[misc]
    with pytest.raises(ValidationError):
        settings.server = ServerSettings()  # type: ignore[misc]


def test_a_group_built_directly_takes_arguments_only() -> None:
    assert ServerSettings().port == 8000
    assert ServerSettings(port=9000).port == 9000
