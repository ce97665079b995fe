"""All of Backstay in a project: the packaged texts, and the rules and requirements they need."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement

from backstay import __version__
from backstay.blueprints import platform
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.platform import platform_record, refuse_ejecting, render_platform
from backstay.blueprints.project import ProjectOptions, render_project
from backstay.blueprints.records import Record, record_of, release_at
from backstay.blueprints.tree import Plan
from backstay.blueprints.upgrading import release_of, requirements_change
from backstay.composition.ejections import ejection_faults
from backstay.testing.waiting import LIMIT
from tests.architecture.tree import ROOT

BIN = Path(sys.executable).parent
OWN = ProjectOptions(name="shop", own=True, without=("mail",))
OURS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SWITCH = "src/backstay/settings/project.py"
ADDED = {f"src/backstay/{name}" for name in ("CHANGELOG.md", "LICENSE", "ruff.toml")}


@pytest.fixture(scope="module")
def rendered() -> Mapping[str, str]:
    """All of Backstay, by path."""
    return render_platform()


@pytest.fixture(scope="module")
def shop(rendered: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that owns it."""
    root = tmp_path_factory.mktemp("own") / "shop"
    plan = Plan.of(root, render_project(OWN), OWN.record)
    (plan + Plan.of(root, rendered, platform_record())).apply()
    return root


def run(root: Path, *command: str | Path) -> str:
    environ = {**os.environ, "PYTHONPATH": str(root / "src")}
    done = subprocess.run(
        command, cwd=root, env=environ, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_packaged_file_is_copied_as_it_is(rendered: Mapping[str, str]) -> None:
    listed = run(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard", "src")
    packaged = {path for path in listed.splitlines() if (ROOT / path).is_file()}
    assert rendered.keys() == packaged | ADDED | {"tests/test_backstay.py"}
    for path in packaged - {SWITCH}:
        assert rendered[path].encode() == (ROOT / path).read_bytes(), path
    switched = (ROOT / SWITCH).read_text("utf-8").replace("OWN_COPY: bool = False", "")
    assert rendered[SWITCH].replace("OWN_COPY: bool = True", "") == switched
    assert rendered["src/backstay/CHANGELOG.md"] == (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert rendered["src/backstay/LICENSE"] == (ROOT / "LICENSE").read_text("utf-8")


def test_the_whole_project_keeps_rules_and_contracts(shop: Path) -> None:
    run(shop, BIN / "ruff", "format", "--no-cache", "--check", ".")
    run(shop, BIN / "ruff", "check", "--no-cache", ".")
    assert "4 kept, 0 broken" in run(shop, BIN / "lint-imports", "--no-logo", "--no-cache")


def test_the_rules_of_the_copy_are_those_of_backstay(rendered: Mapping[str, str]) -> None:
    ours: dict[str, Any] = OURS["tool"]["ruff"]
    lint = ours["lint"] | {"per-file-ignores": dict(_rules_of_package(ours))}
    found = tomllib.loads(rendered["src/backstay/ruff.toml"])
    assert found.pop("cache-dir") == "../../.ruff_cache"
    assert found == ours | {"lint": lint, "src": [".."]}


def _rules_of_package(ours: dict[str, Any]) -> Mapping[str, list[str]]:
    """The exceptions for files of the package, by their paths in it."""
    both = "{src/backstay,tests}/db/{sqlite,test_sqlite}.py"
    found = {
        "db/sqlite.py" if path == both else path: rules
        for path, rules in ours["lint"]["per-file-ignores"].items()
    }
    return {
        path.removeprefix("src/backstay/"): rules
        for path, rules in found.items()
        if path.startswith(("src/backstay/", "db/"))
    }


def test_the_project_declares_what_backstay_does() -> None:
    mine: dict[str, Any] = tomllib.loads(render_project(OWN)["pyproject.toml"])
    project, ours = mine["project"], OURS["project"]
    assert {*map(Requirement, project["dependencies"])} == {*map(Requirement, ours["dependencies"])}
    extras = ours["optional-dependencies"]
    dev = {*map(Requirement, project["optional-dependencies"]["dev"])}
    assert {*map(Requirement, (*extras["testing"], *extras["upgrade"]))} <= dev
    group = {*map(Requirement, OURS["dependency-groups"]["dev"])}
    assert {each for each in dev if each.name != "pre-commit"} <= group
    assert project["scripts"] == ours["scripts"]


def test_types_and_imports_are_judged_as_in_backstay() -> None:
    mine, ours = (
        each["tool"] for each in (tomllib.loads(render_project(OWN)["pyproject.toml"]), OURS)
    )
    [override] = mine["mypy"]["overrides"]
    strict = {"strict", "explicit_package_bases", "plugins"}
    for option in ("enable_error_code", "warn_unreachable", *strict):
        assert (mine["mypy"] if option in strict else override)[option] == ours["mypy"][option]
    assert mine["pydantic-mypy"] == ours["pydantic-mypy"]
    [layers] = [each for each in ours["importlinter"]["contracts"] if each["type"] == "layers"]
    assert mine["importlinter"]["contracts"][-1] | {"name": layers["name"]} == layers


def test_a_copy_is_never_passed_over(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("shop")
    module.__path__ = [str(shop / "src" / "shop")]
    monkeypatch.setitem(sys.modules, "shop", module)
    (fault,) = ejection_faults()
    assert f"all of Backstay in {shop / 'src' / 'backstay'}, but" in fault.problem
    assert ".venv/bin/backstay" in fault.hint


def test_a_copy_is_no_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "OWN_COPY", True)
    with pytest.raises(BlueprintError, match="none is installed here"):
        render_platform()


def test_nothing_is_ejected_where_all_is_owned(shop: Path, tmp_path: Path) -> None:
    refuse_ejecting(tmp_path, "users")
    with pytest.raises(BlueprintError, match="change src/backstay/features/users"):
        refuse_ejecting(shop, "users")


def test_the_release_is_that_of_the_record(tmp_path: Path) -> None:
    Plan.of(tmp_path, {"a.py": "a = 1\n"}, Record("platform", "backstay", release="0.0.7")).apply()
    Plan.of(tmp_path, {"b.py": "b = 1\n"}, Record("entity", "Rig")).apply()
    found = record_of(tmp_path, "entity", "Rig")
    assert found is not None
    assert found.release == release_at(tmp_path) == release_of(tmp_path) == "0.0.7"
    assert release_at(tmp_path / "other") == __version__


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ('    "zxcvbn>=4.5",\n', '    "zxcvbn>=5.0",\n', True),
        ("strict = true\n", "strict = false\n", False),
    ],
)
def test_it_is_installed_anew_if_requirements_change(
    shop: Path, old: str, new: str, *, change: bool
) -> None:
    texts = render_project(OWN)
    changed = {**texts, "pyproject.toml": texts["pyproject.toml"].replace(old, new)}
    assert changed != texts
    assert requirements_change(Plan.of(shop, changed, OWN.record)) is change
