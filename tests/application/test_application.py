"""Tests the one object that a project makes, and how commands and servers find it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.application import PACKAGED, Application, application_in_use
from backstay.core.wiring import BootError, Code
from backstay.settings import ConfigurationError
from backstay.testing import settings_with

PROJECT = """
[tool.backstay]
app = "{app}"
"""
MODULE = """
from backstay.application import Application

application = Application("{name}", migrations=None)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project that is not installed, with the application `granary.main:application`."""
    package = tmp_path / "src" / "granary"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "main.py").write_text(MODULE.format(name="granary"))
    (tmp_path / "pyproject.toml").write_text(PROJECT.format(app="granary.main:application"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.delenv("BACKSTAY_APP", raising=False)
    yield tmp_path
    for name in [each for each in sys.modules if each.partition(".")[0] == "granary"]:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["", "Shop", "2shop", "my-shop", "platform", "backstay", "a" * 28])
def test_a_name_that_migrations_cannot_carry_is_refused(name: str) -> None:
    application = Application(name)
    with pytest.raises(BootError) as refused:
        application.check()
    (fault,) = refused.value.faults
    assert fault.code is Code.APPLICATION_NAME
    assert Path(fault.where.rpartition(":")[0]).name == Path(__file__).name


def test_the_history_stands_beside_the_application() -> None:
    history = Application("shop").history
    assert history is not None
    assert history.folder == Path(__file__).parent / "migrations"


def test_a_history_without_revisions_is_not_followed() -> None:
    assert Application("shop").histories == PACKAGED.histories


def test_the_templates_stand_beside_the_application(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = project / "src" / "granary"
    other = MODULE.format(name="other").replace("migrations", 'templates="words", migrations')
    (home / "other.py").write_text(other)
    assert application_in_use().template_folder is None
    (home / "templates").mkdir()
    monkeypatch.delitem(sys.modules, "granary.main")
    assert application_in_use().template_folder == home / "templates"
    monkeypatch.setenv("BACKSTAY_APP", "granary.other:application")
    application = application_in_use()
    with pytest.raises(BootError) as refused:
        application.compose(settings_with(f"sqlite:///{project}/unused.db", project))
    (fault,) = refused.value.faults
    assert (fault.code, fault.where) == (Code.TEMPLATE_FOLDER, str(home / "words"))


@pytest.mark.usefixtures("project")
def test_the_project_names_its_application() -> None:
    assert application_in_use().name == "granary"


def test_a_subfolder_belongs_to_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = project / "docs" / "pictures"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert application_in_use().name == "granary"


def test_the_environment_beats_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "src" / "granary" / "other.py").write_text(MODULE.format(name="other"))
    monkeypatch.setenv("BACKSTAY_APP", "granary.other:application")
    assert application_in_use().name == "other"


def test_without_a_project_backstay_serves_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.other]\nname = "x"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BACKSTAY_APP", raising=False)
    assert application_in_use() is PACKAGED


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("granary", "which names nothing"),
        ("granary:", "which names nothing"),
        ("a/b:c", "which names nothing"),
        ("granary.nothing:application", "there is no granary.nothing"),
        ("grnary.main:application", "there is no grnary"),
        ("granary.main:nothing", "which is no Application"),
        ("granary.main:Application", "which is no Application"),
    ],
)
def test_a_wrong_name_is_explained(
    named: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKSTAY_APP", named)
    with pytest.raises(ConfigurationError, match=sentence):
        application_in_use()


def test_a_mistake_in_the_projects_code_shows_itself(project: Path) -> None:
    (project / "src" / "granary" / "main.py").write_text("import no_such_module\n")
    with pytest.raises(BootError, match="No module named 'no_such_module'") as refused:
        application_in_use()
    assert refused.value.faults[0].where == "src/granary/main.py:1"
    assert isinstance(refused.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize(
    "text", ["[tool.backstay", "[tool.backstay]", "[tool.backstay]\napp = 1\n"]
)
def test_a_project_that_names_no_application_is_explained(project: Path, text: str) -> None:
    (project / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"pyproject\.toml"):
        application_in_use()


@pytest.mark.usefixtures("project")
def test_a_boot_error_ends_a_foreign_server_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(os.environ, "ENVIRONMENT", "nowhere")
    with pytest.raises(SystemExit, match="The configuration has"):
        _ = application_in_use().asgi
