"""Shows the commands of an application that leaves out the feature `tiers`."""

from pathlib import Path

import pytest

from backstay.settings.project import find_project
from tests.cli.conftest import Call
from tests.files import look_into

APPLICATION = """
from backstay import FOUNDATION, Application

application = Application("small", features=FOUNDATION, migrations=None)
"""
WITHOUT = {"BACKSTAY_APP": "small_application:application"}


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small_application.py").write_text(APPLICATION)
    monkeypatch.syspath_prepend(tmp_path)


def test_its_command_is_not_there(call: Call) -> None:
    assert " create-tier " in call("--help").output
    assert " create-tier " not in call("--help", **WITHOUT).output
    for arguments in (("create-tier", "pro"), ("create-tier", "--help")):
        refused = call(*arguments, **WITHOUT)
        assert (refused.code, refused.output) == (2, "")
        assert "No such command 'create-tier'. It is of the feature tiers" in refused.errors


def test_help_imports_no_application_that_names_standard(tmp_path: Path, call: Call) -> None:
    text = "from pathlib import Path\nPath('imported').touch()\nfeatures = (*STANDARD,)\n"
    (tmp_path / "whole_application.py").write_text(text)
    shown = call("--help", BACKSTAY_APP="whole_application:application")
    assert " create-tier " in shown.output
    assert not (tmp_path / "imported").exists()
    (tmp_path / "whole_application.py").write_text(text.replace("STANDARD", "FOUNDATION"))
    call("--help", BACKSTAY_APP="whole_application:application")
    assert (tmp_path / "imported").exists()


@pytest.mark.parametrize("reference", ["nowhere:application", "small_application:nothing", "?"])
def test_help_shows_all_commands_of_a_faulty_application(call: Call, reference: str) -> None:
    shown = call("--help", BACKSTAY_APP=reference)
    assert (shown.code, shown.errors) == (0, "")
    assert " create-tier " in shown.output
    refused = call("create-tier", "pro", BACKSTAY_APP=reference)
    assert refused.code == 2
    assert "BACKSTAY_APP" in refused.errors


def test_database_roles_and_administrators_work(tmp_path: Path, call: Call) -> None:
    assert call("db", "upgrade", **WITHOUT).code == 0
    assert "The database is current." in call("db", "check", **WITHOUT).output
    further = ("create-admin", "--email", "ann@example.org")
    assert call(*further, ADMIN_PASSWORD="a long enough one", **WITHOUT).code == 0
    assert "tiers:" not in call("roles", **WITHOUT).output
    with look_into(tmp_path / "backstay.db") as connection:
        assert connection.execute("SELECT name FROM tiers").fetchall() == [("free",)]
        assert set(connection.execute("SELECT tier FROM users")) == {("free",)}


def test_help_is_shown_wherever_one_is(tmp_path: Path, call: Call) -> None:
    project = '[tool.backstay]\napp = "small_application:application"\n'
    for text, is_shown in (("[project]\n", True), (project, False), ("[tool\n", True)):
        (tmp_path / "pyproject.toml").write_text(text)
        find_project.cache_clear()
        shown = call("--help")
        assert (shown.code, shown.errors) == (0, "")
        assert (" create-tier " in shown.output) is is_shown
    find_project.cache_clear()
