"""A generated project runs, and its tests, types, rules and contracts hold, whatever was chosen."""

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from backstay import __version__
from backstay.blueprints.project import OPTIONAL, ProjectOptions, render_project
from backstay.blueprints.tree import Plan
from backstay.features import STANDARD
from backstay.testing.waiting import LIMIT
from tests.architecture.tree import ROOT
from tests.blueprints.projects import BIN, generated, mypy_cache
from tests.cli.process import serving

CHOSEN = (
    ProjectOptions(name="shop"),
    ProjectOptions(
        name="web_shop_of_every_kind", database="postgresql", redis=True, without=("mail", "tiers")
    ),
    ProjectOptions(name="bare", bare=True, without=OPTIONAL),
)
"""Pair by pair, every option with every other."""
NAMES = [options.name for options in CHOSEN]


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the projects, in folders of their names."""
    folder = tmp_path_factory.mktemp("projects")
    for options in CHOSEN:
        generated(folder, options)
    return folder


def environ(*roots: Path) -> dict[str, str]:
    """Where nothing but Python and the package are installed."""
    sources = [ROOT / "src", *(root / "src" for root in roots)]
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    joined = os.pathsep.join(map(str, sources))
    return {"PATH": path, "HOME": str(Path.home()), "PYTHONPATH": joined, "MYPYPATH": joined}


def run(root: Path, *command: str | Path, code: int = 0) -> str:
    done = subprocess.run(
        command,
        cwd=root,
        env=environ(*(root.parent / name for name in NAMES)),
        capture_output=True,
        text=True,
        timeout=10 * LIMIT,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_what_may_be_left_out_is_optional() -> None:
    assert sorted(OPTIONAL) == sorted(each.name for each in STANDARD if not each.foundation)


def every_choice() -> Iterator[ProjectOptions]:
    without = ((), ("items",), OPTIONAL)
    choices: Any = product(("shop", "a" * 27), ("sqlite", "postgresql"), (0, 1), (0, 1), without)
    for name, database, redis, bare, left_out in choices:
        yield ProjectOptions(
            name=name, database=database, redis=bool(redis), bare=bool(bare), without=left_out
        )


def test_every_choice_is_laid_out_as_ruff_does(tmp_path: Path) -> None:
    for number, options in enumerate(every_choice()):
        for path, text in render_project(options).items():
            (tmp_path / str(number) / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / str(number) / path).write_text(text)
    run(tmp_path, BIN / "ruff", "format", "--no-cache", "--check", ".")
    run(tmp_path, BIN / "ruff", "check", "--no-cache", ".")


def test_the_types_of_projects_are_right(projects: Path) -> None:
    folders = [projects / name / "src" for name in NAMES]
    config = projects / "shop" / "pyproject.toml"
    with mypy_cache() as cache:
        command = (BIN / "mypy", f"--cache-dir={cache}", f"--config-file={config}")
        assert "Success" in run(projects / "shop", *command, *folders, "tests")
    python = f"--pythonpath={sys.executable}"
    assert "0 errors" in run(projects / "shop", sys.executable, "-m", "pyright", python)


def test_the_import_contracts_are_kept_and_notice_internals(projects: Path) -> None:
    command = (BIN / "lint-imports", "--no-logo", "--no-cache")
    root = projects / "shop"
    assert "3 kept, 0 broken" in run(root, *command)
    planted = root / "src/shop/features/notes.py"
    planted.write_text("import backstay.core.bus\nimport shop.application\n")
    report = run(root, *command, code=1)
    planted.unlink()
    assert "Of Backstay, public names only are imported BROKEN" in report
    assert "Features know nothing of what is made of them BROKEN" in report


@pytest.mark.parametrize("name", ["shop", "bare"])
def test_the_tests_of_a_project_pass(projects: Path, name: str) -> None:
    done = run(projects / name, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert "4 passed" in done


@pytest.mark.parametrize(("name", "items"), [("shop", 401), ("bare", 404)])
def test_a_project_answers(projects: Path, name: str, items: int) -> None:
    with serving(projects / name) as server:
        assert server.ask("/readyz") == 200
        assert server.ask("/api/v1/items") == items


def test_make_lists_its_commands_and_installs_only_once(projects: Path) -> None:
    root = projects / "shop"
    assert "make run      start the server" in run(root, "make")
    assert "pip install" in run(root, "make", "--dry-run", "test")
    (root / ".venv").mkdir()
    (root / ".venv/.installed").touch()
    told = run(root, "make", "--dry-run", "run")
    assert told == "cp .env.example .env\n.venv/bin/backstay serve \n"


def test_the_example_has_every_setting_and_what_was_chosen(projects: Path) -> None:
    lines = (projects / "web_shop_of_every_kind/.env.example").read_text().splitlines()
    in_force = [line for line in lines if line and not line.startswith("#")]
    assert in_force == [
        "APP_NAME=Web shop of every kind",
        "DB_URL=postgresql://web_shop_of_every_kind:web_shop_of_every_kind@localhost/"
        "web_shop_of_every_kind",
        "DB_FALLBACK_TO_SQLITE=true",
        "REDIS_URL=redis://localhost:6379/0",
    ]
    assert "#SERVER_PORT=8000" in lines


def test_other_choices_and_releases_merge_with_a_persons_edits(tmp_path: Path) -> None:
    root = generated(tmp_path, ProjectOptions(name="shop"))
    edits = {
        "pyproject.toml": (f'    "backstay~={__version__}",\n', '    "stripe",\n'),
        "src/shop/application.py": ("    roles=ROLES,\n", "    routers=(router,),\n"),
    }
    for path, (line, added) in edits.items():
        text = (root / path).read_text()
        (root / path).write_text(text.replace(line, line + added))
    options = ProjectOptions(name="shop", database="postgresql", without=("mail",))
    texts = {
        path: text.replace(f"~={__version__}", "~=9.9.9")
        for path, text in render_project(options).items()
    }
    plan = Plan.of(root, texts, options.record)
    assert plan.conflicts == ()
    plan.apply()
    project, application = ((root / path).read_text() for path in edits)
    assert '    "backstay~=9.9.9",\n    "stripe",\n' in project
    assert "--database=postgresql" in project
    listed = " ".join(application.split())
    assert "*FOUNDATION, items.feature, tasks.feature, tiers.feature, *features_of(" in listed
    assert "    roles=ROLES,\n    routers=(router,),\n" in application
