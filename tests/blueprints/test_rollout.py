"""`rollout.sh` replaces containers one by one; what docker does is only pretended here."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.blueprints.deploying import DeployOptions, render_deploy
from backstay.testing.waiting import LIMIT

DOCKER = Path(__file__).with_name("docker.py")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host on which two containers of the tag 1 serve."""
    script = render_deploy(DeployOptions(name="shop", servers=2))["deploy/rollout.sh"]
    (tmp_path / "rollout.sh").write_text(script)
    (tmp_path / "containers").write_text("c1 1\nc2 1\n")
    (tmp_path / ".env").write_text("COMPOSE_PROFILES=nginx\nTAG=1\n")
    for name, text in {"docker": f'{sys.executable} {DOCKER} "$@"', "sleep": ":"}.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    return tmp_path


def rollout(host: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        ["sh", host / "rollout.sh", *arguments],
        env={**os.environ, "PATH": f"{host / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def kept(host: Path) -> list[str]:
    return (host / "containers").read_text().splitlines()


def calls(host: Path, first: str) -> list[str]:
    lines = (host / "calls").read_text().splitlines()
    return [line for line in lines if line.startswith(first)]


def test_a_new_container_is_ready_before_an_old_one_stops(host: Path) -> None:
    rollout(host, "deploy", "2")
    assert kept(host) == ["c3 2", "c4 2"]
    held = [line.partition("[")[2].rstrip("]") for line in calls(host, "stop")]
    assert held == ["c1 1,c2 1,c3 2", "c2 1,c3 2,c4 2"]
    assert [line.partition(" [")[0] for line in calls(host, "compose build")] == [
        "compose build api"
    ]
    assert len(calls(host, "compose run --rm --no-deps migrate")) == 1
    assert (host / ".env").read_text() == "COMPOSE_PROFILES=nginx\nTAG_BEFORE=1\nTAG=2\n"
    rollout(host, "rollback")
    assert [line.split()[1] for line in kept(host)] == ["1", "1"]
    assert len(calls(host, "compose run")) == 1


def test_a_bad_image_leaves_the_servers_as_they_were(host: Path) -> None:
    assert "2-bad is not ready" in rollout(host, "deploy", "2-bad", code=1)
    assert kept(host) == ["c1 1", "c2 1"]
    assert "TAG=1\n" in (host / ".env").read_text()
    assert len(calls(host, "logs --tail 20 c3")) == 1


def test_what_rollouts_of_containers_need_is_told(host: Path) -> None:
    assert "no tag before" in rollout(host, "rollback", code=1)
    assert "rollout.sh deploy TAG" in rollout(host, code=2)
    (host / "published").touch()
    assert "backstay deploy init --servers 2" in rollout(host, "deploy", "2", code=1)
    assert kept(host) == ["c1 1", "c2 1"]


def test_two_rollouts_do_not_replace_at_once(host: Path) -> None:
    with (host / ".env.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another one is at work" in rollout(host, "deploy", "2", code=1)
    assert kept(host) == ["c1 1", "c2 1"]
    rollout(host, "deploy", "2")
