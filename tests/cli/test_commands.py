"""Shows the commands that look at the application, the help, and how wrong usage ends."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backstay import __version__
from backstay.cli import COMMANDS, app, load
from backstay.testing.waiting import LIMIT
from tests.cli.conftest import Call
from tests.cli.process import COMMAND, KEYS, environ

HELP = """
import sys
from backstay.cli import app
app(["--help"], standalone_mode=False)
print([name for name in ("fastapi", "pydantic", "sqlalchemy") if name in sys.modules])
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_the_sentence_of_the_overview(name: str) -> None:
    shown = CliRunner().invoke(app, [name, "--help"])
    assert shown.exit_code == 0
    assert f"backstay {name} " in shown.output.replace("root", "backstay")
    assert inspect.cleandoc(load(name).help).splitlines()[0] == COMMANDS[name]


def test_help_imports_nothing_heavy() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", HELP],
        env=environ(),
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT,
    )
    assert all(name in shown.stdout for name in COMMANDS)
    assert shown.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("serve", "--port", "0"), ("routes", "--loud"), ("db", "sideways")]
)
def test_wrong_usage_exits_with_2(call: Call, arguments: tuple[str, ...]) -> None:
    ended = call(*arguments)
    assert (ended.code, ended.output) == (2, "")
    assert "Usage: backstay" in ended.errors


def test_routes_are_readable_when_piped(tmp_path: Path, call: Call) -> None:
    shown = call("routes", SECURITY_LOGIN_RATE_LIMIT="7/hour")
    assert shown.code == 0
    header, *lines = [" ".join(line.split()) for line in shown.output.splitlines()]
    assert header == "METHOD PATH PERMISSION LIMIT MESSAGE"
    assert "POST /api/v1/auth/login public login 7/hour Login" in lines
    assert "GET /api/v1/users users:list default 100/minute ListUsers" in lines
    assert "GET /api/v1/users/me signed in default 100/minute GetMe" in lines
    assert any(line.startswith("GET /livez public exempt ") for line in lines)
    assert "GET /docs - - -" in lines
    paths = [line.split()[1] for line in lines]
    assert paths == sorted(paths)
    assert not (tmp_path / "backstay.db").exists()


def test_openapi_is_the_same_where_the_documentation_is_absent(tmp_path: Path, call: Call) -> None:
    local = call("openapi")
    schema = json.loads(local.output)
    assert schema["paths"]["/api/v1/items"]["get"]["operationId"] == "list_items"
    assert "bearer" in schema["components"]["securitySchemes"]
    assert "Problem" in schema["components"]["schemas"]
    production = call("openapi", "--output", "api.json", ENVIRONMENT="production", **KEYS)
    assert (production.code, production.output) == (0, "")
    assert (tmp_path / "api.json").read_text("utf-8") == local.output
    assert not (tmp_path / "backstay.db").exists()


def test_a_file_that_cannot_be_written_ends_in_a_sentence(call: Call) -> None:
    ended = call("openapi", "--output", "nowhere/api.json")
    assert (ended.code, ended.errors) == (1, "nowhere/api.json: No such file or directory.\n")


@pytest.mark.parametrize("name", ["routes", "openapi", "config", "create-admin", "serve"])
def test_a_faulty_configuration_exits_with_2(call: Call, name: str) -> None:
    ended = call(name, SERVER_PORT="eighty")
    assert ended.code == 2
    assert "SERVER_PORT" in ended.output + ended.errors


def test_config_prints_every_setting(call: Call) -> None:
    shown = call("config", SERVER_PORT="9000")
    assert shown.code == 0
    assert "SERVER_PORT" in shown.output


def test_commands_that_end_write_no_files(home: Path, call: Call) -> None:
    before = set(home.iterdir())
    assert call("db", "upgrade").code == 0
    assert call("routes").code == 0
    assert set(home.iterdir()) == before | {home / ".backstay"}


@pytest.mark.parametrize("command", [COMMAND, [str(Path(COMMAND[0]).parent / "backstay")]])
def test_the_module_and_the_installed_command_print_the_version(command: list[str]) -> None:
    shown = subprocess.run(
        [*command, "--version"],
        env=environ(),
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT,
    )
    assert (shown.stdout, shown.stderr) == (f"Backstay {__version__}\n", "")
