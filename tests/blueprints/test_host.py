"""The script for one host writes files that their programs accept, and says what is missing."""

import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml  # type: ignore[import-untyped]

from backstay.blueprints.deploying import DeployOptions, render_deploy
from backstay.testing.waiting import LIMIT
from tests.services.nginx import binary

supervisor = pytest.importorskip("supervisor.options", reason="supervisor is not installed")
STUBS = ("initdb", "prometheus", "alertmanager", "valkey-server", "backstay")
PORTS = 9440


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user may enter, with the deploy files of a project."""
    with TemporaryDirectory(prefix="backstay-host-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for path, text in render_deploy(DeployOptions(name="web_shop", servers=3)).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        yield folder


def up(folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Start it with programs that do nothing, so that it ends before the database."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    for name in STUBS:
        (programs / name).write_text("#!/bin/sh\nexit $(( $# > 1 ))\n")
        (programs / name).chmod(0o755)
    (programs / "python").unlink(missing_ok=True)
    (programs / "python").symlink_to(sys.executable)
    given = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOST_USER": "nobody",
        "HOST_PORTS": str(PORTS),
        "BACKSTAY_PROGRAM": f"{programs}/backstay",
        "SUPERVISORD_PROGRAM": str(Path(sys.executable).with_name("supervisord")),
        "NGINX_PROGRAM": binary(),
        "POSTGRES_PROGRAMS": str(programs),
        "VALKEY_PROGRAM": f"{programs}/valkey-server",
        "PROMETHEUS_PROGRAM": f"{programs}/prometheus",
        "ALERTMANAGER_PROGRAM": f"{programs}/alertmanager",
    }
    return subprocess.run(
        ["sh", folder / "deploy/host/host.sh", "up", folder / "host"],
        env={name: value for name, value in {**given, **variables}.items() if value},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is for Linux")
def test_its_programs_accept_the_files_it_writes(folder: Path) -> None:
    done = up(folder, ALERT_SCALE="0.1")
    assert "the database cannot be made" in done.stderr, "nginx has tested its files by then"
    conf = folder / "host/conf"
    options = supervisor.ServerOptions()
    options.configfile = str(conf / "supervisord.conf")
    options.process_config(do_usage=False)
    groups = {each.name: len(each.process_configs) for each in options.process_group_configs}
    assert groups == {
        **dict.fromkeys(("postgres", "valkey", "nginx", "alertmanager", "prometheus"), 1),
        **{"server": 3, "worker": 2},
    }
    jobs = yaml.safe_load((conf / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    found = {each["job_name"]: each["static_configs"][0]["targets"] for each in jobs}
    assert found == {
        "api": [f"127.0.0.1:{PORTS + n}" for n in (10, 11, 12)],
        "worker": [f"127.0.0.1:{PORTS + n}" for n in (13, 14)],
    }
    scaled = yaml.safe_load((conf / "prometheus/rules/backstay.yaml").read_text())
    assert scaled["groups"][0]["rules"][0]["for"] == "12000ms"
    written = [path for path in conf.rglob("*") if path.is_file() and not path.is_symlink()]
    for path in written:
        lines = [line.partition("#")[0] for line in path.read_text().splitlines()]
        assert [line for line in lines if "/etc/" in line or "/run/" in line] == [], path


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is for Linux")
def test_secrets_are_closed_to_all_other_users(folder: Path) -> None:
    up(folder)
    secrets = folder / "host/secrets"
    files = [path for path in secrets.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o400}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (secrets, secrets / "tls")} == {0o700}
    password = (secrets / "admin_password").read_text()
    assert len(password) == 64
    up(folder)
    assert (secrets / "admin_password").read_text() == password
    assert not (folder / "deploy/secrets").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is for Linux")
def test_a_command_runs_with_the_settings_of_the_host(folder: Path) -> None:
    up(folder)
    shown = """#!/bin/sh\nprintf '%s\\n' "$BACKUP_DIR" "$DB_PORT" "${SUDO_USER:-}" "$@"\nexit 3\n"""
    (folder / "programs/backstay").write_text(shown)
    done = subprocess.run(
        ["sh", folder / "deploy/host/host.sh", "run", folder / "host", "maintenance", "on", "a b"],
        env={"PATH": "/usr/bin:/bin", "SUDO_USER": "ann"},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == 3, done.stderr
    told = [f"{folder}/host/backups", str(PORTS + 2), "ann", "maintenance", "on", "a b"]
    assert done.stdout.splitlines() == told


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is for Linux")
def test_what_a_host_lacks_or_a_file_lost_is_said(folder: Path) -> None:
    done = up(folder, PROMETHEUS_PROGRAM="/nowhere/prometheus", NGINX_PROGRAM="/nowhere/nginx")
    assert done.returncode == 1
    assert "/nowhere/prometheus is missing: install prometheus" in done.stderr
    assert "/nowhere/nginx is missing: install nginx" in done.stderr
    assert not list((folder / "host").iterdir())
    servers = folder / "deploy/nginx/servers.conf"
    servers.write_text(servers.read_text().replace("resolver", "#"))
    assert "servers.conf in" in (said := up(folder).stderr)
    assert 'has no "resolver' in said
    spaced = folder / "with space"
    shutil.copytree(folder / "deploy", spaced / "deploy")
    assert "letters, digits" in up(spaced).stderr


def test_words_that_are_no_command_show_the_usage(folder: Path) -> None:
    script = folder / "deploy/host/host.sh"
    for words in ((), ("up",), ("fly", "x"), ("up", "x", "y"), ("ctl", "x"), ("run", "x")):
        done = subprocess.run(
            ["sh", script, *words], capture_output=True, text=True, check=False, timeout=LIMIT
        )
        assert done.returncode == 2
        assert "sh host.sh up FOLDER" in done.stderr
    done = subprocess.run(
        ["sh", script, "down", folder / "none"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "there is no folder" in done.stderr
