"""Shows the command `config`: what it prints, what it hides, how it exits."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from backstay.cli.config import config
from backstay.settings import example_env, reference_markdown
from backstay.settings.schema import PACKAGED

app = typer.Typer()
app.command()(config)


@pytest.fixture(autouse=True)
def a_bare_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in PACKAGED.variables:
        for name in variable.names:
            monkeypatch.delenv(name, raising=False)


def run(*arguments: str, **environ: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, list(arguments), env=environ)
    return result.exit_code, result.output.splitlines()


def row(lines: list[str], name: str) -> list[str]:
    (line,) = (line for line in lines if line.startswith(f"{name} "))
    return line.split()[1:]


def test_faults_come_last_and_exit_with_2() -> None:
    code, lines = run(SERVER_PORT="eighty", SERVER_PROT="1", ADMIN_PASSWORD="tiny")
    assert code == 2
    text = "\n".join(lines)
    assert text.index("Warning: SERVER_PROT") < text.index("Fault: SERVER_PORT")
    assert text.index("Fault: SERVER_PORT") < text.index("Fault: ADMIN_PASSWORD")
    assert row(lines, "SERVER_PORT") == ["faulty", "environment"]
    assert "eighty" not in text
    assert "tiny" not in text


def test_every_setting_is_printed_with_value_and_origin() -> None:
    code, lines = run(SERVER_HOST="::1", PORT="9000")
    assert code == 0
    for variable in PACKAGED.variables:
        assert row(lines, variable.name)
    assert row(lines, "SERVER_HOST") == ["::1", "environment"]
    assert row(lines, "SERVER_PORT") == ["9000", "environment", "(PORT)"]
    assert row(lines, "ENVIRONMENT") == ["local", "default"]
    assert row(lines, "SECURITY_SECRET_KEY") == ["********", "created", "in", "./.backstay"]


def test_secrets_are_masked() -> None:
    code, lines = run(
        DATABASE_URL="postgresql://me:s3cr3t@host/shop",
        ADMIN_PASSWORD="s3cr3t-s3cr3t",
        SECURITY_PREVIOUS_KEYS="s3cr3t-one,s3cr3t-two",
    )
    assert code == 0
    assert "s3cr3t" not in "\n".join(lines)
    assert row(lines, "DB_URL")[0] == "postgresql+asyncpg://me:***@host/shop"
    assert row(lines, "ADMIN_PASSWORD")[0] == "********"
    assert row(lines, "SECURITY_PREVIOUS_KEYS")[:2] == ["********,", "********"]


def test_markup_in_a_value_is_only_text() -> None:
    _, lines = run(APP_NAME="[red]Shop[/red] :smile:")
    assert row(lines, "APP_NAME")[:2] == ["[red]Shop[/red]", ":smile:"]


def test_nothing_is_cut_off_when_piped(tmp_path: Path) -> None:
    origins = ",".join(f"https://number-{number}.example.com" for number in range(40))
    code = "import typer; from backstay.cli.config import config; typer.run(config)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path), "APP_CORS_ORIGINS": origins, "COLUMNS": "40"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert origins.replace(",", ", ") in result.stdout
    assert "…" not in result.stdout


def test_the_reference_and_the_example_are_printed_as_they_are() -> None:
    assert run("--reference") == (0, reference_markdown().splitlines())
    assert run("--example") == (0, example_env().splitlines())
