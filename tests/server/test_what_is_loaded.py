"""Shows which modules each process loads: supervisor and parent load no application."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from backstay import FOUNDATION, STANDARD
from backstay.testing import Templates
from backstay.testing.waiting import LIMIT
from tests.cli.process import KEYS, environ
from tests.server.one_worker import PROGRAM

APPLICATION = {"fastapi", "starlette", "sqlalchemy", "pydantic", "typer", "structlog"}
UNUSED = {"rich", "redis", "alembic", "jinja2", "asyncpg", "aiosmtplib", "taskiq", "uvicorn"} | {
    "opentelemetry.sdk",
    "opentelemetry.exporter",
    "sentry_sdk",
    "requests",
    "psutil",
    "pygments",
    "typer",
    "pydantic.v1",
}
"""Modules that a worker on SQLite without Redis, mail and traces does not need; among them what
FastAPI loads to describe routes."""
IN_PRODUCTION = {"ENVIRONMENT": "production", "ADMIN_PASSWORD": "correct horse battery", **KEYS}
OF_TESTS = {"backstay.testing", "pytest", "httpx", "hypothesis"}


def loaded_by(program: str, folder: Path, **variables: str) -> set[str]:
    """The names of the modules and packages that a process has loaded at the end of a program."""
    told = f"{program}\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", told],
        cwd=folder,
        env=environ(**variables),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_supervisor_is_the_standard_library(tmp_path: Path) -> None:
    loaded = loaded_by("import backstay.server.supervisor", tmp_path)
    loaded -= loaded_by("", tmp_path)  # what the environment itself loads into every process
    ours = {name for name in loaded if name.partition(".")[0] == "backstay"}
    assert {name.partition(".")[0] for name in loaded - ours} <= sys.stdlib_module_names
    assert ours == {
        *("backstay", "backstay.core", "backstay.core.runtime_dir"),
        *("backstay.server", "backstay.server.supervisor", "backstay.server.run_folder"),
    }


@pytest.mark.parametrize("server", ["granian.server", "uvicorn.supervisors", "gunicorn.arbiter"])
def test_the_parent_loads_its_server_and_no_application(tmp_path: Path, server: str) -> None:
    loaded = loaded_by(f"import backstay.server.parent, {server}", tmp_path)
    assert server in loaded
    assert not APPLICATION & loaded
    assert not {"backstay.cli", "backstay.settings", "backstay.application"} & loaded


@pytest.mark.parametrize(
    ("variables", "further"),
    [({"LOG_DIR": ""}, {"concurrent_log_handler"}), (IN_PRODUCTION, {"backstay.mailing.message"})],
    ids=["local", "production"],
)
def test_a_worker_loads_only_what_it_uses(
    tmp_path: Path, templates: Templates, variables: dict[str, str], further: set[str]
) -> None:
    templates.copy("sqlite", tmp_path, name="backstay.db")
    loaded = loaded_by(PROGRAM, tmp_path, BACKSTAY_RUN=str(tmp_path), **variables)
    assert loaded >= {"fastapi", "sqlalchemy", "structlog"}
    assert sorted((UNUSED | OF_TESTS | further) & loaded) == []


LEFT_OUT = (
    "from backstay import FOUNDATION, Application\napp = Application('shop', features=FOUNDATION)"
)


@pytest.mark.parametrize(
    "process",
    [
        "app.asgi",
        "app.compose(app.load_settings(), for_requests=False)",
        "import backstay.cli.roles, backstay.cli.db, backstay.cli.create_admin",
    ],
    ids=["server", "worker", "commands"],
)
def test_no_process_loads_a_feature_that_is_left_out(tmp_path: Path, process: str) -> None:
    loaded = loaded_by(f"{LEFT_OUT}\n{process}", tmp_path)
    optional = {each.name for each in STANDARD} - {each.name for each in FOUNDATION}
    assert optional == {"tiers", "mail", "items", "tasks"}
    packages = {f"backstay.features.{name}" for name in optional}
    assert [name for name in loaded if name.startswith(tuple(packages))] == []


def test_rooms_below_the_edge_import_no_web_framework(tmp_path: Path) -> None:
    program = """
from backstay.core.startup import hurry_imports, without_extras
hurry_imports()
with without_extras():
    import backstay.composition
"""
    loaded = loaded_by(program, tmp_path)
    assert "sqlalchemy" in loaded
    assert not (UNUSED | {"fastapi"}) & loaded


def test_modules_left_out_at_start_can_be_imported_later(tmp_path: Path) -> None:
    program = """
from backstay.core.startup import hurry_imports, without_extras
hurry_imports()
with without_extras():
    try:
        import rich
    except ModuleNotFoundError:
        import this  # which tells that it was left out
import rich
"""
    assert {"this", "rich"} <= loaded_by(program, tmp_path)


def test_nothing_is_left_out_where_the_process_is_not_ours(tmp_path: Path) -> None:
    program = """
from backstay.core.startup import without_extras
with without_extras():
    import rich
"""
    assert "rich" in loaded_by(program, tmp_path)
