"""`backstay deploy init` writes deploy files into a project, and merges them with what is there."""

import subprocess
from pathlib import Path

import pytest

from backstay.blueprints.deploying import KIND, DeployOptions
from backstay.blueprints.kinds import KINDS
from backstay.blueprints.project import ProjectOptions, render_project
from backstay.blueprints.records import record_of
from backstay.blueprints.tree import Plan
from tests.cli.process import environ, run_warm

COMPOSE = "deploy/compose.yaml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    options = ProjectOptions(name="shop", bare=True)
    Plan.of(tmp_path, render_project(options), options.record).apply()
    commit(tmp_path, "init", "--quiet")
    return tmp_path


def commit(root: Path, *first: str) -> None:
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    for command in (first, ("add", "--all"), (*who, "commit", "--quiet", "-m", "More")):
        subprocess.run(["git", *command], cwd=root, env=environ(), check=bool(command))


def init(project: Path, *arguments: str, code: int = 0, **variables: str) -> str:
    path = f"{project / 'src'}:{environ()['PYTHONPATH']}"
    done = run_warm(project, "deploy", "init", *arguments, PYTHONPATH=path, **variables)
    assert done.code == code, done.errors
    return done.output + done.errors


def test_deploy_files_are_written_and_computed_from_settings(project: Path) -> None:
    told = init(project, "--domain", "shop.example.com", "--workers", "2", DB_MAX_CONNECTIONS="20")
    assert "PostgreSQL must accept 130 connections" in told
    assert "sh prepare.sh" in told
    assert "max_connections=130" in (project / COMPOSE).read_text()
    assert "server_name shop.example.com;" in (project / "deploy/nginx/nginx.conf").read_text()
    record = record_of(project, KIND, "shop")
    assert record
    assert KINDS[KIND](project, record)[COMPOSE] == (project / COMPOSE).read_text()


def test_another_run_keeps_choices_and_a_persons_edits(project: Path) -> None:
    init(project, "--domain", "shop.example.com", SERVER_DRAIN_SECONDS="9")
    compose = project / COMPOSE
    compose.write_text(compose.read_text().replace("pids_limit: 512", "pids_limit: 99"))
    commit(project, "add", "deploy")
    assert "Everything is there already." in init(project)
    init(project, SERVER_WORKERS="4")
    assert "pids_limit: 99" in compose.read_text()
    record = record_of(project, KIND, "shop")
    assert record
    options = DeployOptions(**record.options)
    assert (options.domain, options.drain, options.processes) == ("shop.example.com", 9, 4)
    assert f"mem_limit: {options.budget.api_mib}m" in compose.read_text()


def test_uploads_get_locations_of_their_own(project: Path) -> None:
    feature = project / "src/shop/features/photos"
    feature.mkdir(parents=True)
    (feature / "__init__.py").write_text(
        '"""Photos."""\n\nfrom backstay import Feature\n\nfeature = Feature("photos", __name__)\n'
    )
    (feature / "messages.py").write_text(
        '"""Messages."""\n\nfrom uuid import UUID\n\n'
        "from backstay import SIGNED_IN, Command, FromPath, Upload, View, handles\n\n\n"
        "class Kept(View):\n    size: int\n\n\n"
        'class KeepPhoto(Command[Kept]):\n    """Keep a photo."""\n\n    permission = SIGNED_IN\n'
        "    id: FromPath[UUID]\n    file: Upload\n\n\n"
        "@handles(KeepPhoto)\nasync def keep_photo(command: KeepPhoto) -> Kept:\n"
        "    return Kept(size=command.file.size)\n"
    )
    (feature / "routes.py").write_text(
        '"""Routes."""\n\nfrom backstay import Routes\n\nfrom .messages import KeepPhoto\n\n'
        'routes = Routes("/photos", tag="photos")\n'
        'routes.upload("/{id}", KeepPhoto, media_types=("image/png",), max_bytes=20_000_000)\n'
    )
    commit(project, "add", "src")
    init(project)
    location = (project / "deploy/nginx/uploads.conf").read_text()
    assert "location ~ ^/api/v1/photos/[^/]+$ {\n    client_max_body_size 200" in location


def test_what_is_wrong_is_told_and_nothing_is_written(project: Path) -> None:
    assert "SERVER_WORKERS: should be" in init(project, code=2, SERVER_WORKERS="many")
    assert "is no name of a host" in init(project, "--domain", "https://x", code=2)
    assert "+++ b/deploy/compose.yaml" in init(project, "--dry-run")
    assert not (project / "deploy").exists()


def test_without_a_project_nothing_is_deployed(tmp_path: Path) -> None:
    assert "is in no project" in run_warm(tmp_path, "deploy", "init").errors
