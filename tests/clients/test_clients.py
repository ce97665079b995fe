"""Shows that clients generated from the API description compile and work."""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.testing import Templates
from tests.cli.process import Server, serving
from tests.clients.tools import HERE, ToolsError, node_tools, python_tools, run
from tests.patient import PATIENT

GUIDE = HERE.parents[1] / "docs" / "guides" / "clients.md"
WALKS = HERE / "walks"
DESCRIPTION = "openapi.json"


def commands_of(language: str) -> list[list[str]]:
    """The commands of the guide that generate clients, in the section of that language."""
    section = GUIDE.read_text("utf-8").partition(f"\n## {language}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", "").splitlines()
    found = [shlex.split(line.removeprefix("npx ")) for line in lines if DESCRIPTION in line]
    assert found
    return found


def generate(language: str, programs: Path, folder: Path, server: Server) -> None:
    """Follow the guide, with the description that the server gives."""
    (folder / DESCRIPTION).write_bytes(server.client.get("/openapi.json").content)
    for program, *arguments in commands_of(language):
        run(programs / program, *arguments, cwd=folder)


@pytest.fixture(scope="module")
def server(templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    templates.copy("sqlite", folder, name="backstay.db")
    with serving(folder, RATE_LIMIT_ENABLED="false", **PATIENT) as running:
        yield running


@pytest.fixture(scope="module")
def python(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the generated Python client and the walk that uses it."""
    programs, folder = python_tools(), tmp_path_factory.mktemp("python")
    generate("Python", programs, folder, server)
    shutil.copy(WALKS / "python.py", folder / "walk.py")
    return folder


@pytest.fixture(scope="module")
def typescript(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both generated TypeScript clients and the walks that use them, compiled."""
    modules, folder = node_tools(), tmp_path_factory.mktemp("typescript")
    (folder / "node_modules").symlink_to(modules)
    generate("TypeScript", modules / ".bin", folder, server)
    for source in (*WALKS.glob("*.ts"), *WALKS.glob("*.json")):
        shutil.copy(source, folder)
    run(modules / ".bin" / "tsc", "--build", "tsconfig.json", "tsconfig.hey.json", cwd=folder)
    return folder


def test_the_python_client_has_every_operation(python: Path, server: Server) -> None:
    paths = server.client.get("/openapi.json").json()["paths"]
    operations = [each for methods in paths.values() for each in methods.values()]
    generated = (python / "backstay_client" / "api").glob("*/[!_]*.py")
    assert {path.stem for path in generated} == {each["operationId"] for each in operations}


def test_the_python_client_passes_mypy_strict(python: Path) -> None:
    options = ["--strict", "--config-file=", "--cache-dir=/dev/null"]
    interpreter = f"--python-executable={python_tools() / 'python'}"
    run(sys.executable, "-m", "mypy", *options, interpreter, ".", cwd=python)


def test_the_python_client_does_a_days_work(python: Path, server: Server) -> None:
    run(python_tools() / "python", "walk.py", str(server.client.base_url), cwd=python)


@pytest.mark.parametrize("walk", ["hey", "fetch"])
def test_a_strictly_compiled_typescript_client_does_a_days_work(
    walk: str, typescript: Path, server: Server
) -> None:
    address = str(server.client.base_url).rstrip("/")
    run("node", f"out/{walk}.js", address, cwd=typescript)


def test_the_guide_shows_the_tested_client_code() -> None:
    walked = "".join(path.read_text("utf-8") for path in WALKS.iterdir())
    blocks = re.findall(r"```(?:python|ts)\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    shown = [part for block in blocks for part in block.split("\n\n")]
    assert shown
    assert [part for part in shown if _bare(part) not in _bare(walked)] == []


def _bare(code: str) -> str:
    return re.sub(r"^\s+", "", code, flags=re.MULTILINE)


@pytest.mark.parametrize("is_ci", [False, True])
def test_without_nodejs_the_tests_are_skipped_but_not_under_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_ci: bool
) -> None:
    monkeypatch.setenv("CI", "true" if is_ci else "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolsError if is_ci else pytest.skip.Exception, match="'node'"):
        node_tools()


def test_lock_files_hold_hashes_and_no_addresses() -> None:
    packages = json.loads((HERE / "package-lock.json").read_text("utf-8"))["packages"]
    installed = {name: package for name, package in packages.items() if name}
    assert [name for name, package in installed.items() if not package.get("integrity")] == []
    assert [name for name, package in installed.items() if "resolved" in package] == []
    assert "://" not in (HERE / "requirements.lock").read_text("utf-8")
