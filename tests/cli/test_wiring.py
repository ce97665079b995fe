"""Shows that commands tell in sentences what is wired wrongly, and end with a failure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import copy_of_project, plant
from tests.cli.process import KEYS, free_port
from tests.conftest import Templates
from tests.waiting import LIMIT

TOLD = """\
route.twice  src/backstay/features/items/routes.py:{line}  GET /api/v1/items/{{number}} is routed \
twice, first as /api/v1/items/{{id}} at src/backstay/features/items/routes.py:{first}. \
Remove one of them.
"""
PLANTED = 'routes.get("/items/{number}", GetItem, path_names={"number": "id"}, name="other")'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Path:
    folder = tmp_path_factory.mktemp("project")
    plant(copy_of_project(folder), "features/items/routes.py", PLANTED)
    templates.copy("sqlite", folder, "shop.db")
    return folder


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        ("serve", "local"),
        ("serve", "production"),
        ("worker", "local"),
        ("routes", "local"),
        ("openapi", "local"),
    ],
)
def test_what_is_wired_wrongly_is_told(project: Path, command: str, environment: str) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(project),
        "PYTHONPATH": str(project / "src"),
        "ENVIRONMENT": environment,
        "DB_URL": f"sqlite:///{project}/shop.db",
        "ADMIN_PASSWORD": "correct horse",
        "SERVER_PORT": str(free_port()),
        **KEYS,
    }
    done = subprocess.run(
        [sys.executable, "-m", "backstay", command],
        cwd=project,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    lines = (project / "src/backstay/features/items/routes.py").read_text().splitlines()
    line, first = lines.index(PLANTED) + 1, lines.index('routes.get("/items/{id}", GetItem)') + 1
    assert done.returncode == 1, done.stderr
    assert done.stderr.endswith(TOLD.format(line=line, first=first))
    assert "Traceback" not in done.stderr
