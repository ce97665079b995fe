"""`release.sh` replaces servers behind nginx while they serve, and refuses bad releases."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.testing.waiting import until
from tests.cli.load import Caller
from tests.cli.process import SOURCE
from tests.services.deployed_nginx import DOMAIN
from tests.services.machine import Machine, kept_here, machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="release.sh is for Linux")
SMALL = """\
case $APP_VERSION in *broken) echo "cannot start: no such setting"; exit 3 ;; esac
export KEPT={kept} PYTHONPATH={path}
exec {python} -m tests.services.small_server "$1"
"""
MIGRATE = 'case $APP_VERSION in *-stuck) echo "the table is locked"; exit 1 ;; esac\n'
CLOCK = """\
date() {{
  case $(of_link instances/{port}) in
    *-unready)
      ! grep -q "unready listens" {log} || echo >> {ticks}
      echo $(($(wc -l < {ticks}) * 1000))
      ;;
    *) echo 0 ;;
  esac
}}
"""
"""The clock of the script: time passes only when a release that is never ready listens."""
COMMAND = """\
[ "$1" != fail ] || echo "no such thing" >&2
echo "$APP_VERSION runs $# words: $* for $SUDO_USER"
[ "$1" != fail ] || exit 3
"""
SYSTEMCTL = """\
UNITS={folder}/units
systemctl() {{
  case $1 in
    cat) printf '%s\\n' '[Service]' 'ExecStart=/no/such db upgrade' RemainAfterExit=yes ;;
    start)
      file=$UNITS/$2.service
      case $(sed -n 's/^RemainAfterExit=//p' "$file" | tail -n 1) in yes) return 1 ;; esac
      export "$(sed -n 's/^Environment=//p' "$file")"
      sh -c "$(sed -n 's/^ExecStart=//p' "$file")" > "$(sed -n 's/.*=truncate://p' "$file")" 2>&1
      ;;
    show) echo 3 ;;
  esac
}}
"""
"""In place of systemd, for a single unit."""
CALLERS = 4


def kept(folder: Path) -> Path:
    return folder / "kept"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Machine]:
    """A machine on which release 1 runs."""
    path = os.pathsep.join((str(SOURCE), str(SOURCE.parent)))
    small = SMALL.format(kept=kept(tmp_path), path=path, python=sys.executable)
    scripts = {"api": small, "worker": small, "migrate": MIGRATE, "backstay": COMMAND}
    with machine(tmp_path, scripts, kept_here) as found:
        with (tmp_path / "release.conf").open("a") as conf:
            conf.write("sleep() { command sleep 0.1; }\n")
        found.run("deploy", "1", "-")
        yield found


def everywhere(host: Machine, release: str) -> dict[str, str]:
    """What the processes run where all of them run this, which has migrated."""
    return dict.fromkeys([*map(str, (*host.servers, *host.workers)), "migrate"], release)


async def load(host: Machine, done: asyncio.Event) -> list[str]:
    """What callers have posted and got an answer to; none is refused or breaks off."""
    posted: list[str] = []

    async def call(number: int) -> None:
        caller = Caller(host.nginx.tls, host=DOMAIN, tls=host.nginx.trust)
        while not done.is_set():
            name = f"{number}-{len(posted)}"
            assert (await caller("POST", "/", name))[0] == 200
            posted.append(f'"{name}"')
            assert (await caller("GET", "/"))[0] == 200
        await caller.close()
        assert caller.repeated == 0

    await asyncio.gather(*map(call, range(CALLERS)))
    return posted


async def deploy_under_load(host: Machine) -> list[str]:
    done = asyncio.Event()
    calling = asyncio.create_task(load(host, done))
    try:
        for command in (("deploy", "2", "-"), ("rollback",)):
            await asyncio.to_thread(host.run, *command)
    finally:
        done.set()
    return await calling


def test_a_deploy_and_a_rollback_lose_no_request(host: Machine, tmp_path: Path) -> None:
    posted = asyncio.run(deploy_under_load(host))
    assert len(posted) > 10
    assert sorted(kept(tmp_path).read_text().split()) == sorted(posted)
    assert host.releases() == everywhere(host, "1") | {"migrate": "2"}
    assert host.run("status").count("ready\n") == 3
    assert "no release before 1 is known" in host.run("rollback", code=1)


def stop_the_clock(host: Machine) -> None:
    gatekeeper, ticks = host.servers[0], host.folder / "ticks"
    ticks.touch()
    log = host.folder / f"api-{gatekeeper}.log"
    with (host.folder / "release.conf").open("a") as conf:
        conf.write(CLOCK.format(port=gatekeeper, ticks=ticks, log=log))


@pytest.mark.parametrize(
    ("release", "said"),
    [("2-unready", "2-unready listens"), ("2-broken", "cannot start: no such setting")],
)
def test_a_bad_release_touches_the_gatekeeper_alone(host: Machine, release: str, said: str) -> None:
    stop_the_clock(host)
    printed = host.run("deploy", release, "-", code=1)
    assert said in printed
    assert "no other process was touched" in printed
    assert host.releases() == everywhere(host, "1") | {"migrate": release}
    assert host.shared() == list(host.servers)
    assert host.run("status").count("ready\n") == 3


def test_failed_migrations_touch_no_server(host: Machine) -> None:
    printed = host.run("deploy", "2-stuck", "-", code=1)
    assert "the table is locked" in printed
    assert "no server was touched" in printed
    assert host.releases() == everywhere(host, "1")


def killed_midway(host: Machine, release: str) -> str:
    """Kill a deployment once the gatekeeper is to run the release; what it has printed."""
    gatekeeper = str(host.servers[0])
    with host.start("deploy", release, "-") as process:
        until(lambda: host.releases()[gatekeeper] == release)
        refused = host.run("deploy", "3", "-", code=1)
        assert "another one is at work" in refused
        os.killpg(process.pid, signal.SIGTERM)
        return process.communicate()[0]


def test_an_interrupted_deployment_is_continued_or_taken_back(host: Machine) -> None:
    assert "the same command continues" in killed_midway(host, "2")
    host.run("rollback")
    assert host.releases() == everywhere(host, "1") | {"migrate": "2"}
    killed_midway(host, "2")
    host.run("deploy", "2", "-")
    assert host.releases() == everywhere(host, "2")
    assert host.shared() == list(host.servers)
    for release in ("3", "4"):
        host.run("deploy", release, "-")
    left = {each.name for each in (host.folder / "opt/releases").iterdir()}
    assert left == {"2", "3", "4"}


def test_what_it_cannot_do_is_told(host: Machine) -> None:
    assert "release.sh rollback" in host.run(code=2)
    for name in ("../etc", ".hidden", "a b", "-n"):
        assert "is no name of a release" in host.run("deploy", name, "-", code=1)
    (host.folder / "install").write_text("#!/bin/sh\necho no such wheel; exit 1\n")
    assert "no such wheel" in host.run("deploy", "9", "-", code=1)
    assert "9 cannot be installed" in host.run("deploy", "9", "-", code=1)
    assert host.releases() == everywhere(host, "1")


def test_a_command_runs_as_the_release_that_migrated_last(host: Machine) -> None:
    with (host.folder / "release.conf").open("a") as conf:
        conf.write(SYSTEMCTL.format(folder=host.folder))
    host.run("deploy", "2", "-")
    host.run("rollback")
    told = host.run("run", "db", "downgrade", "shop@-1", "for it", SUDO_USER="ann")
    assert told == "2 runs 4 words: db downgrade shop@-1 for it for ann\n"
    assert "no such thing\n2 runs 1 words" in host.run("run", "fail", code=3)
    assert "may have none of" in host.run("run", "$HOME", code=1)
    assert "release.sh run WORD" in host.run("run", code=2)
    assert list((host.folder / "units").iterdir()) == []


def test_a_wrong_configuration_of_nginx_changes_nothing(host: Machine) -> None:
    with (host.nginx.folder / "proxy.conf").open("a") as conf:
        conf.write("nonsense;\n")
    printed = host.run("deploy", "2", "-", code=1)
    assert 'unknown directive "nonsense"' in printed
    assert "nginx refuses its configuration" in printed
    assert host.releases() == everywhere(host, "1") | {"migrate": "2"}
    assert host.shared() == list(host.servers)
