"""Shows that a server that cannot start says why once, and ends with a code that is not 0."""

from pathlib import Path

import pytest

from backstay.cli.serve import _lock_database
from backstay.db.sole_server import sole_server
from backstay.settings import load_settings
from backstay.testing.ports import free_port
from tests.cli.conftest import Call
from tests.cli.process import KEYS, run

PROJECT = """
from backstay import Application
from backstay.core.errors import Unavailable

async def ask_billing(app):
    raise Unavailable("The billing service does not answer: start it.")

application = Application("shop", migrations=None, on_start=[ask_billing])
"""
PRODUCTION = {"ENVIRONMENT": "production", "MAIL_HOST": "localhost", **KEYS}


def test_a_refused_start_is_one_sentence(home: Path, kind: str) -> None:
    (home / "shop.py").write_text(PROJECT)
    where = {"SERVER_TYPE": kind, "SERVER_PORT": str(free_port()), "LOG_DIR": ""}
    done = run(home, "--app", "shop:application", "serve", **where)
    assert done.code == 1
    (line,) = done.errors.splitlines()
    assert line.endswith("The billing service does not answer: start it.")
    assert "error" in line
    assert "server started" not in done.output


def test_a_second_server_of_a_file_is_refused(home: Path, call: Call) -> None:
    given = {**PRODUCTION, "SERVER_PORT": str(free_port()), "ADMIN_PASSWORD": "correct horse"}
    with sole_server(home / "backstay.db"):
        done = call("serve", **given)
    assert (done.code, done.output) == (1, "")
    assert done.errors.startswith("server.twice  backstay.db  Another server serves this database")


def test_local_only_warns_of_a_second_server(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    with sole_server(home / "backstay.db"):
        _lock_database(load_settings({}, home))
    assert "another server serves backstay.db, too" in capsys.readouterr().err


def test_other_commands_run_beside_a_server(home: Path, call: Call) -> None:
    given = {**PRODUCTION, "ADMIN_PASSWORD": "correct horse"}
    with sole_server(home / "backstay.db"):
        assert call("db", "upgrade", **given).code == 0
        assert call("worker", "--drain", **given).code == 0


def test_an_upgrade_says_when_nobody_is_administrator(tmp_path: Path, call: Call) -> None:
    upgraded, served = call("db", "upgrade", **PRODUCTION), call("serve", **PRODUCTION)
    assert (upgraded.code, served.code) == (0, 2)
    assert "ADMIN_PASSWORD: is missing, while there is no administrator." in upgraded.errors
    assert upgraded.errors == served.errors
    again = call("db", "upgrade", **PRODUCTION, ADMIN_PASSWORD="correct horse")
    assert "Created the administrator admin@example.com." in again.output
    assert call("db", "upgrade", **PRODUCTION).errors == ""
