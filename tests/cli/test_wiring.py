"""Shows that commands print wiring faults as sentences, and fail."""

from pathlib import Path

import pytest

from backstay.testing import PASSWORD, Templates
from backstay.testing.ports import free_port
from tests.architecture.tree import copy_of_project, plant
from tests.cli.process import KEYS, run

ROUTES = "src/backstay/features/items/routes.py"
KNOWN = 'routes.get("/items/{id}", GetItem)'
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
def test_wiring_faults_are_printed_as_sentences(
    project: Path, command: str, environment: str
) -> None:
    done = run(
        project,
        command,
        ENVIRONMENT=environment,
        PYTHONPATH=str(project / "src"),
        DB_URL=f"sqlite:///{project}/shop.db",
        ADMIN_PASSWORD=PASSWORD,
        SERVER_PORT=str(free_port()),
        COVERAGE_PROCESS_CONFIG="",  # of the package, not of a copy
        **KEYS,
    )
    lines = (project / ROUTES).read_text().splitlines()
    first, second = (lines.index(row) + 1 for row in (KNOWN, PLANTED))
    assert done.code == 1
    assert done.errors.endswith(
        f"route.twice  {ROUTES}:{second}  GET /api/v1/items/{{number}} is routed twice, "
        f"first as /api/v1/items/{{id}} at {ROUTES}:{first}. Remove one of them.\n"
    )
