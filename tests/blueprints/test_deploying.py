"""The deploy files are valid, hardened, computed from settings, and those of this repository."""

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml  # type: ignore[import-untyped]

from backstay.blueprints.budget import Budget
from backstay.blueprints.deploying import PLATFORM, DeployOptions, check, chosen, render_deploy
from backstay.blueprints.errors import BlueprintError
from backstay.settings import read_settings
from backstay.settings.schema import PACKAGED
from backstay.testing.waiting import LIMIT
from tests.architecture.tree import ROOT
from tests.blueprints.deploy_files import rendered

SCHEMA = Path(__file__).with_name("compose.schema.json")
"""Of the Compose Specification (Apache License 2.0)."""
CHOSEN = (
    DeployOptions(name=PLATFORM),
    DeployOptions(name="web_shop", servers=3, workers=2, processes=4, connections=20, drain=1),
)
PROFILES = {
    *("nginx", "grafana", "prometheus", "loki", "pgadmin", "replica", "dragonfly", "pgbouncer"),
    *("rabbitmq", "nats", "test", "backup", "create-admin", "create-tier"),
}

ACCEPTED = {
    "CL-0019": "images have tags, so that fixes of the same version arrive",
    "CL-0026": "a limit of CPU would slow a container down while the others are idle",
    "CL-0004": "the image of the application is built here, and tagged by who deploys it",
    "CL-0005 nginx": "nginx is what is reached from outside",
    "CL-0003 pgadmin": "pgAdmin gets rights by a file capability",
    "CL-0007 pgadmin": "pgAdmin writes its own files",
    "CL-0007 test": "tests write where they are",
}
"""What the security linter of compose files finds, by rule and service, and why it stays."""


def compose(options: DeployOptions) -> Any:
    return yaml.safe_load(render_deploy(options)["deploy/compose.yaml"])


def linted(file: Path) -> list[dict[str, Any]]:
    """What the security linter of compose files finds."""
    command = [sys.executable, "-m", "compose_lint", "check", "--format", "json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found


@pytest.fixture(scope="module", params=CHOSEN, ids=lambda options: options.name)
def options(request: pytest.FixtureRequest) -> DeployOptions:
    found: DeployOptions = request.param
    return found


@pytest.fixture
def folder(tmp_path: Path, options: DeployOptions) -> Path:
    for path, text in render_deploy(options).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path / "deploy"


def test_this_repository_has_them_as_they_are_rendered() -> None:
    wrong = [path for path, text in rendered().items() if (ROOT / path).read_text("utf-8") != text]
    assert wrong == [], "make deploy writes them"


def test_no_service_is_open_without_a_reason(folder: Path) -> None:
    found = {(each["rule_id"], each["service"]) for each in linted(folder / "compose.yaml")}
    told = {name for rule, service in found for name in (rule, f"{rule} {service}")}
    assert [each for each in found if not {each[0], " ".join(each)} & ACCEPTED.keys()] == []
    assert ACCEPTED.keys() <= told, "a reason without a finding"


def test_a_service_without_limits_is_found(folder: Path) -> None:
    text = (folder / "compose.yaml").read_text("utf-8")
    (folder / "compose.yaml").write_text(
        text.replace("no-new-privileges:true", "seccomp:unconfined")
    )
    assert {each["rule_id"] for each in linted(folder / "compose.yaml")} - {
        rule.split()[0] for rule in ACCEPTED
    }


def test_compose_is_valid_and_an_unknown_key_is_noticed(options: DeployOptions) -> None:
    validator = jsonschema_rs.validator_for(json.loads(SCHEMA.read_text("utf-8")))
    found = compose(options)
    assert [error.message for error in validator.iter_errors(found)] == []
    found["services"]["api"]["mem_limits"] = "1g"
    assert not validator.is_valid(found)


def test_every_profile_is_there_and_without_one_five_services(options: DeployOptions) -> None:
    services = compose(options)["services"]
    named = {profile for each in services.values() for profile in each.get("profiles", ())}
    assert named == PROFILES
    first = {name for name, each in services.items() if "profiles" not in each}
    assert first == {"api", "worker", "migrate", "postgres", "valkey"}


def test_no_service_may_more_than_it_needs(options: DeployOptions) -> None:
    for name, service in compose(options)["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert not service.keys() & {"privileged", "network_mode", "pid", "ipc"}, name
        assert "docker.sock" not in str(service), name
        if name == "test":
            continue
        assert service["mem_limit"], name
        if name != "pgadmin":
            assert service["read_only"] is True, name
            assert service["security_opt"] == ["no-new-privileges:true"], name
        binds = [each.split(":") for each in service.get("volumes", ()) if isinstance(each, str)]
        fixed = [each[1] for each in binds if each[2:] == ["ro"]]
        hidden = [each[1] for each in binds for b in fixed if each[1].startswith(f"{b}/")]
        assert hidden == [], "a folder that is mounted read-only gets no mount inside"
    inside = [s for s in compose(options)["services"].values() if s.get("networks") == ["data"]]
    assert not any("ports" in service for service in inside)


def test_the_numbers_follow_from_the_settings(options: DeployOptions) -> None:
    services, needs = compose(options)["services"], options.budget
    assert services["api"]["stop_grace_period"] == f"{options.drain + options.grace + 5}s"
    assert services["worker"]["stop_grace_period"] == f"{options.grace + 5}s"
    assert f"max_connections={needs.max_connections}" in services["postgres"]["command"]
    assert services["api"].get("scale", 1) == options.servers
    assert ("ports" in services["api"]) == (options.servers == 1)
    files = render_deploy(options)
    assert f"keepalive_timeout {needs.idle_seconds}s" in files["deploy/nginx/upstream.conf"]
    assert f"client_max_body_size {options.body}" in files["deploy/nginx/nginx.conf"]
    assert (
        f"default_pool_size = {needs.shared_connections}" in files["deploy/pgbouncer/pgbouncer.ini"]
    )


def test_what_three_servers_need() -> None:
    needs = Budget(servers=3, processes=4, workers=2, connections=10, drain=5, grace=30)
    assert needs.shared_connections == 140
    assert needs.max_connections == 290
    assert (needs.api_mib, needs.worker_mib) == (1088, 256)
    assert (needs.api_stop_seconds, needs.worker_stop_seconds) == (40, 35)


def names_of(files: dict[str, str], options: DeployOptions) -> Iterator[str]:
    """Every variable that is given to the application."""
    yield from compose(options)["services"]["api"]["environment"]
    yield from re.findall(r"^#?([A-Z_]+)=", files["deploy/settings.env"], re.MULTILINE)
    for path, text in files.items():
        if path.endswith(".service"):
            lines = re.findall(r"^Environment=(.*)$", text, re.MULTILINE)
            yield from (each.partition("=")[0] for line in lines for each in line.split())


def test_every_variable_is_a_setting(options: DeployOptions) -> None:
    known = {name for variable in PACKAGED.variables for name in variable.names}
    files = dict(render_deploy(options))
    names = set(names_of(files, options)) - {"ENVIRONMENT", "TMPDIR", "BACKSTAY_APP"}
    assert len(names) > 20
    assert names - known == set()


def test_secrets_are_made_once_and_never_by_chance_overwritten(folder: Path) -> None:
    def prepare(**variables: str) -> str:
        done = subprocess.run(
            ["sh", "prepare.sh"],
            cwd=folder,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", **variables},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert "made secrets/admin_password" in prepare(ADMIN_PASSWORD="chosen by a person")
    secrets = {path.name: path for path in (folder / "secrets").iterdir() if path.is_file()}
    services = yaml.safe_load((folder / "compose.yaml").read_text())
    assert set(services["secrets"]) == set(secrets)
    assert secrets["admin_password"].read_text() == "chosen by a person"
    assert len({path.read_text() for path in secrets.values()}) == len(secrets)
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    before = {name: path.read_text() for name, path in secrets.items()}
    certificate = (folder / "secrets/tls/fullchain.pem").read_text()
    assert "made" not in prepare(ADMIN_PASSWORD="another")
    assert {name: path.read_text() for name, path in secrets.items()} == before
    assert (folder / "secrets/tls/fullchain.pem").read_text() == certificate


def test_every_file_can_be_read_by_its_program(folder: Path) -> None:
    for path in folder.rglob("*.yaml"):
        if "chart" not in path.parts:
            list(yaml.safe_load_all(path.read_text()))
    for path in folder.rglob("*.sh"):
        shell = path.read_text().splitlines()[0].rpartition("/")[2]
        subprocess.run([shell, "-n", path], check=True, timeout=LIMIT)
    ruff = Path(sys.executable).parent / "ruff"
    for command in (("format", "--check", "--no-cache"), ("check", "--no-cache")):
        config = ROOT / "pyproject.toml"
        subprocess.run([ruff, *command, "--config", config, folder / "probe.py"], check=True)


def test_systemd_knows_every_line_of_the_units(folder: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    units = sorted((folder / "systemd").iterdir())
    command: list[str | Path] = ["systemd-analyze", "verify", "--man=no", *units]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
    about = [line for line in done.stderr.splitlines() if any(u.name in line for u in units)]
    assert [line for line in about if "is not executable" not in line] == []


def test_the_probe_says_whether_the_server_answers(folder: Path) -> None:
    class Livez(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/livez" else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Livez) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port, probe = str(server.server_port), (sys.executable, folder / "probe.py")
        assert subprocess.run([*probe], env={"SERVER_PORT": port}, check=False).returncode == 0
        assert subprocess.run([*probe, "/readyz", port], check=False).returncode == 1
        server.shutdown()
    assert subprocess.run([*probe, "/livez", port], check=False).returncode == 1


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"domain": "https://shop.example.com"}, "is no name of a host"),
        ({"domain": "shop"}, "is no name of a host"),
        ({"domain": "shop.example.com;evil"}, "is no name of a host"),
        ({"servers": 0}, "--servers: 0 is not between"),
        ({"workers": 1001}, "--workers: 1001 is not between"),
    ],
)
def test_what_cannot_be_deployed_is_refused(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(BlueprintError, match=reason):
        check(DeployOptions(name="shop", **changed))


def test_a_number_of_processes_must_be_said(tmp_path: Path) -> None:
    environ = {"SERVER_WORKERS": "auto", "DB_URL": "postgresql://db/shop", "REDIS_URL": "redis://r"}
    with pytest.raises(BlueprintError, match="SERVER_WORKERS=4 backstay deploy init"):
        chosen(read_settings(environ, tmp_path).draft)


def given(folder: Path, environ: dict[str, Any]) -> dict[str, str]:
    """The variables as a process gets them: defaults in place of choices, files where they are."""
    texts = {name: str(value) for name, value in environ.items()}
    chosen = {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text) for name, text in texts.items()}
    secrets = f"{folder / 'secrets'}/"
    return {
        name: text.replace("/run/secrets/", secrets).replace("%d/", secrets).replace("%i", "8001")
        for name, text in chosen.items()
    }


def test_the_application_takes_these_settings(folder: Path) -> None:
    subprocess.run(["sh", "prepare.sh"], cwd=folder, check=True, capture_output=True)
    common = dict(re.findall(r"^([A-Z_]+)=(.*)$", (folder / "settings.env").read_text(), re.M))
    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    environs = [services[name]["environment"] for name in ("api", "worker", "migrate")]
    for path in (folder / "systemd").iterdir():
        lines = re.findall(r"^Environment=(.*)$", path.read_text(), re.MULTILINE)
        environs.append(dict(each.split("=", 1) for line in lines for each in line.split()))
    values = yaml.safe_load((folder / "chart/values.yaml").read_text())
    files = {name: f"/run/secrets/{key}" for name, key in values["secrets"].items()}
    environs.append({**values["settings"], **files})
    for environ in environs:
        loaded = read_settings({**common, **given(folder, environ)}, folder)
        assert loaded.errors == ()
        assert loaded.warnings == ()
        assert not loaded.draft.is_local
