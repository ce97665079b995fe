"""Builds the image of this package and runs it as production does: `make image`.

With docker, or with buildah and podman. `BASE_IMAGE` names another base, `ENGINE_OPTIONS` what the
engine needs, such as `--storage-driver vfs`.
"""

import os
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from backstay.testing.ports import free_port
from backstay.testing.postgres_server import PostgresServer
from backstay.testing.waiting import LIMIT, until
from tests.architecture.tree import ROOT

IMAGE, NAME = "localhost/backstay:tried", f"backstay-tried-{os.getpid()}"
PROBE = ("python", "/opt/backstay/probe.py", "/readyz")
OPTIONS = shlex.split(os.environ.get("ENGINE_OPTIONS", ""))
HARDENED = (
    *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--network", "host", "--tmpfs", "/tmp:size=64m,mode=1777"),
)


def engine(*names: str) -> list[str]:
    """The command of the first engine that is installed."""
    found = next((name for name in names if shutil.which(name)), None)
    if found is None:
        sys.exit(f"None of these is installed: {', '.join(names)}.")
    return [found, *OPTIONS]


def build() -> None:
    """Build the image from `deploy/Dockerfile`."""
    tool = "docker" if _docker_answers() else "buildah"
    command = [*engine(tool), "build" if tool == "docker" else "bud"]
    if tool == "buildah":
        command += ["--isolation", "chroot", "--format", "docker"]
    if base := os.environ.get("BASE_IMAGE"):
        command += ["--build-arg", f"BASE_IMAGE={base}"]
    command += ["--target", "runtime", "--file", "deploy/Dockerfile", "--tag", IMAGE, "."]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        sys.exit("The image could not be built: the lines above say why.")


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def given(url: str, port: int) -> list[str]:
    """The options of a container with these settings."""
    settings = {
        "DATABASE_URL": url,
        "SECURITY_SECRET_KEY": secrets.token_hex(32),
        "SECURITY_REFRESH_TOKEN_SECRET": secrets.token_hex(32),
        "ADMIN_PASSWORD": secrets.token_hex(16),
        "SERVER_HOST": "127.0.0.1",
        "SERVER_PORT": str(port),
    }
    pairs = (("--env", f"{name}={value}") for name, value in settings.items())
    return [*HARDENED, *(each for pair in pairs for each in pair)]


@contextmanager
def serving(runner: list[str], options: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A container that serves, once it is ready."""
    process = subprocess.Popen([*runner, "run", "--rm", "--name", NAME, *options, IMAGE])
    try:
        until(lambda: inside(runner, *PROBE) == 0, lambda: "the container is not ready")
        yield process
    finally:
        subprocess.run([*runner, "rm", "--force", NAME], capture_output=True, check=False)


def inside(runner: list[str], *command: str) -> int:
    """The exit code of a command in the container."""
    done = subprocess.run([*runner, "exec", NAME, *command], capture_output=True, check=False)
    return done.returncode


def main() -> None:
    """Build, migrate, serve, look, stop."""
    build()
    runner = engine("docker") if _docker_answers() else engine("podman")
    with PostgresServer() as server:
        options = given(server.create_database(), free_port())
        migrated = [*runner, "run", "--rm", *options, IMAGE, "db", "upgrade"]
        subprocess.run(migrated, check=True, timeout=LIMIT * 10)
        began = time.monotonic()
        with serving(runner, options) as process:
            print(f"Ready after {time.monotonic() - began:.1f} s.")
            assert inside(runner, "sh", "-c", "test $(id -u) -eq 10001") == 0, "it is root"
            assert inside(runner, "touch", "/opt/backstay/x") != 0, "it can write its own code"
            assert inside(runner, "touch", "/var/tmp/x") == 0, "it cannot receive uploads"
            began = time.monotonic()
            subprocess.run([*runner, "stop", "--time", "40", NAME], check=True, capture_output=True)
            assert process.wait(LIMIT) == 0, "it was killed"
            print(f"Stopped after {time.monotonic() - began:.1f} s.")
    subprocess.run([*runner, "images", IMAGE], check=True)


if __name__ == "__main__":
    main()
