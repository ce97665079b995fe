"""`backstay new` writes a project and commits it, or says in a sentence why not."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from backstay.blueprints.deploying import DeployOptions, render_deploy
from backstay.blueprints.project import ProjectOptions, render_project
from backstay.blueprints.tree import Plan
from backstay.cli.new import plan_of
from backstay.settings.groups.db import DEFAULT_FILE
from backstay.testing.waiting import LIMIT
from tests.blueprints.trees import interrupted
from tests.cli.conftest import Call
from tests.cli.process import COMMAND, environ

PERSON = {
    **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "Ann Lee"),
    **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "ann@example.org"),
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_project_is_written_and_committed(tmp_path: Path, call: Call) -> None:
    made = call("new", "shop", **PERSON)
    assert made.code == 0, made.errors
    assert "src/shop/application.py" in made.output
    assert 'Committed as "Begin shop on Backstay".' in made.output
    assert made.output.endswith(
        "  cd shop\n"
        "  make run    # the first time, this also installs what the project needs\n"
        "  make test\n"
    )
    root = tmp_path / "shop"
    assert git(root, "log", "--format=%an: %s") == "Ann Lee: Begin shop on Backstay\n"
    assert git(root, "status", "--porcelain", "--ignored") == ""
    rendered = {
        **render_project(ProjectOptions(name="shop")),
        **render_deploy(DeployOptions(name="shop")),
    }
    kept = [path for path in git(root, "ls-files").split() if path.startswith(".blueprints/bases/")]
    assert len(kept) == len(rendered)


def test_what_the_application_makes_is_never_committed(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".gitignore").write_text(render_project(ProjectOptions(name="shop"))[".gitignore"])
    for suffix in ("", "-shm", "-wal", "-journal", "-server"):
        for kept in ("", ".before-20261101T120000Z", ".restoring-00ff00ff"):
            (tmp_path / f"{DEFAULT_FILE}{kept}{suffix}").touch()
    for folder in (".backups", ".backstay", "logs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").touch()
    assert git(tmp_path, "status", "--porcelain") == "?? .gitignore\n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("my-shop", "no Python package. Write my_shop"),
        ("WebShop", "no Python package. Write web_shop"),
        ("../shop", "no Python package. Write shop"),
        ("9", "no Python package. Write shop"),
        ("class", "a word of the language"),
        ("match", "a word of the language"),
        ("json", "a module of Python"),
        ("platform", "Backstay itself"),
        ("backstay", "Backstay itself"),
        ("tests", "a folder in the project"),
        ("sqlalchemy", "a package of that name is installed"),
        ("mail", "MAIL_, as settings of Backstay do"),
        ("a" * 28, "27 are the most"),
    ],
)
def test_a_name_that_cannot_be_is_refused(
    tmp_path: Path, call: Call, name: str, reason: str
) -> None:
    ended = call("new", name)
    assert ended.code == 2
    assert reason in ended.errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "backstay new shop"),
        (
            ("shop", "--without", "users,items"),
            "users cannot be left out, only items, mail, tasks, tiers",
        ),
        (("shop", "--without", "maill"), "Did you mean mail?"),
        (("shop", "--database", "oracle"), "'sqlite', 'postgresql'"),
    ],
)
def test_wrong_options_are_refused(call: Call, arguments: tuple[str, ...], reason: str) -> None:
    ended = call("new", *arguments)
    assert ended.code == 2
    assert reason in " ".join(ended.errors.split())


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path, call: Call) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/notes.txt").write_text("mine")
    (tmp_path / "file").touch()
    assert "is not empty: it holds notes.txt" in call("new", "shop").errors
    assert "file is no folder" in call("new", "shop", "--directory", "file").errors
    assert "file/shop: Not a directory" in call("new", "shop", "--directory", "file/shop").errors
    assert [path.name for path in (tmp_path / "shop").iterdir()] == ["notes.txt"]


def test_an_empty_repository_is_filled(tmp_path: Path, call: Call) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=trunk")
    made = call("new", "shop", "--directory", ".", **PERSON)
    assert made.code == 0, made.errors
    assert git(tmp_path, "log", "--format=%s", "trunk") == "Begin shop on Backstay\n"
    assert "cd " not in made.output


def test_a_project_inside_a_repository_is_left_to_the_person(tmp_path: Path, call: Call) -> None:
    git(tmp_path, "init", "--quiet")
    made = call("new", "shop", **PERSON)
    assert made.code == 0
    assert "commit it there" in made.output
    assert git(tmp_path, "status", "--porcelain") == "?? shop/\n"


def test_without_an_identity_the_project_is_written(tmp_path: Path, call: Call) -> None:
    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_COUNT": "1"}
    nobody |= {"GIT_CONFIG_KEY_0": "user.useConfigOnly", "GIT_CONFIG_VALUE_0": "true"}
    made = call("new", "shop", **nobody)
    assert made.code == 0
    assert "git does not know who you are" in made.output
    assert (tmp_path / "shop/src/shop/application.py").exists()


def test_without_git_the_project_is_written(tmp_path: Path, call: Call) -> None:
    made = call("new", "shop", PATH=str(tmp_path))
    assert made.code == 0
    assert "git is not installed" in made.output
    assert (tmp_path / "shop/src/shop/application.py").exists()


def test_what_a_killed_call_left_is_begun_anew(tmp_path: Path, call: Call) -> None:
    options = ProjectOptions(name="shop")
    interrupted(Plan.of(tmp_path / "shop", render_project(options), options.record))
    made = call("new", "shop", **PERSON)
    assert made.code == 0, made.errors
    assert git(tmp_path / "shop", "status", "--porcelain") == ""


def test_a_call_killed_before_its_commit_is_finished(tmp_path: Path, call: Call) -> None:
    options = ProjectOptions(name="shop")
    plan_of(tmp_path / "shop", options).apply()
    assert "is not empty" in call("new", "shop", "--bare", **PERSON).errors
    made = call("new", "shop", **PERSON)
    assert made.code == 0, made.errors
    assert git(tmp_path / "shop", "log", "--format=%s") == "Begin shop on Backstay\n"
    assert git(tmp_path / "shop", "status", "--porcelain") == ""
    assert "is not empty" in call("new", "shop", **PERSON).errors


def test_a_terminal_is_asked_for_what_is_not_given(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "new", "--bare"],
        cwd=tmp_path,
        env=environ(**PERSON),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.write(ours, b"my-shop\nshop\noracle\npostgresql\ny\n")
    assert process.wait(LIMIT) == 0
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "Write my_shop, for example." in shown
    assert "Database: sqlite or postgresql [sqlite]: " in shown
    assert "Write sqlite or postgresql." in shown
    assert "Does it use a Redis? [y/N]: " in shown
    example = (tmp_path / "shop/.env.example").read_text()
    assert "\nDB_URL=postgresql://shop:shop@localhost/shop\n" in example
    assert "\nREDIS_URL=redis://localhost:6379/0\n" in example
