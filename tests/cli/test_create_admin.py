"""Shows how administrators are created and their passwords reset, and what is refused."""

import asyncio
import os
import pty
import subprocess
from pathlib import Path
from select import select

import pytest

from backstay.cli.readiness import opened
from backstay.features.auth.queries.principals import MayReadDocs
from backstay.settings import load_settings
from backstay.testing.waiting import LIMIT
from tests.cli.conftest import Call
from tests.cli.process import COMMAND, KEYS, environ
from tests.files import look_into

GOOD = "a long enough one"


def is_admin(folder: Path, login: str, password: str) -> bool:
    """Whether this name and password sign in a superuser."""
    settings = load_settings({"DB_URL": f"sqlite:///{folder}/backstay.db"}, folder)

    async def ask() -> bool:
        async with opened(settings) as backstay:
            return await backstay.system(MayReadDocs(login=login, password=password))

    return asyncio.run(ask())


def test_the_first_administrator_gets_a_generated_password_until_a_reset(
    tmp_path: Path, call: Call
) -> None:
    made = call("create-admin")
    assert (made.code, made.errors) == (0, "")
    assert "Created the administrator admin@example.com." in made.output
    password = made.output.split()[-1]
    assert is_admin(tmp_path, "admin", password)

    again = call("create-admin")
    assert (again.code, again.output) == (1, "")
    assert "taken" in again.errors
    assert "--email" in again.errors

    reset = call("create-admin", "--reset", "--password-stdin", typed=f"{GOOD}\n")
    assert reset.code == 0
    assert "admin@example.com" in reset.output
    assert GOOD not in reset.output
    assert is_admin(tmp_path, "admin@example.com", GOOD)
    assert not is_admin(tmp_path, "admin@example.com", password)

    nobody = call("create-admin", "--reset", "--email", "nobody@example.com")
    assert (nobody.code, nobody.output) == (1, "")
    assert nobody.errors == "There is no administrator nobody@example.com.\n"

    further = call("create-admin", "--email", "Ann@example.com", ADMIN_PASSWORD=GOOD)
    assert further.code == 0
    assert further.output == (
        "Created the administrator ann@example.com. The password is ADMIN_PASSWORD.\n"
    )
    assert is_admin(tmp_path, "ann@example.com", GOOD)


@pytest.mark.parametrize(
    ("arguments", "typed", "told"),
    [
        (("--email", "no address", "--username", "x y"), "tiny\n", ["email", "username", "passw"]),
        (
            ("--email", "ann@example.com"),
            "password123\n",
            ["password: This password is too common"],
        ),
    ],
)
def test_invalid_input_is_reported_without_repeating_it(
    call: Call, arguments: tuple[str, ...], typed: str, told: list[str]
) -> None:
    ended = call("create-admin", "--password-stdin", *arguments, typed=typed)
    assert ended.code == 2
    assert all(text in ended.errors for text in told)
    assert len(ended.errors.splitlines()) == len(told)
    assert typed.strip() not in ended.errors


def test_a_password_with_nul_is_refused(call: Call) -> None:
    ended = call("create-admin", "--password-stdin", typed="a long \0 enough one\n")
    assert (ended.code, ended.errors) == (2, "input: Text must not contain the character NUL.\n")


@pytest.mark.parametrize("arguments", [(), ("--reset",)])
def test_an_empty_address_is_refused(call: Call, arguments: tuple[str, ...]) -> None:
    ended = call("create-admin", *arguments, "--email", "", ADMIN_PASSWORD=GOOD)
    assert (ended.code, ended.output) == (2, "")


@pytest.mark.parametrize(
    "arguments", [("--name", "Ann"), ("--email", "ann@example.com", "--username", "ann")]
)
def test_a_reset_takes_no_other_options(call: Call, arguments: tuple[str, ...]) -> None:
    ended = call("create-admin", "--reset", *arguments)
    assert (ended.code, ended.output) == (2, "")
    assert "--reset takes" in ended.errors


def test_a_reset_unblocks_nobody_and_deleted_administrators_are_ignored(
    tmp_path: Path, call: Call
) -> None:
    def set_now(column: str) -> None:
        with look_into(tmp_path / "backstay.db") as connection:
            connection.execute(f"UPDATE users SET {column} = '2026-01-01 00:00:00.000000'")

    def is_confirmed() -> bool:
        with look_into(tmp_path / "backstay.db") as connection:
            (found,) = connection.execute("SELECT email_verified_at FROM users").fetchone()
        return found is not None

    call("create-admin", ADMIN_PASSWORD=GOOD)
    assert is_confirmed()
    with look_into(tmp_path / "backstay.db") as connection:
        connection.execute("UPDATE users SET email_verified_at = NULL")
    set_now("blocked_at")
    blocked = call("create-admin", "--reset", "--username", "ADMIN", ADMIN_PASSWORD=GOOD)
    assert blocked.code == 0
    assert "The account is still blocked." in blocked.output
    assert is_confirmed()
    assert not is_admin(tmp_path, "admin", GOOD)

    set_now("deleted_at")
    deleted = call("create-admin", "--reset", ADMIN_PASSWORD=GOOD)
    assert (deleted.code, deleted.output) == (1, "")
    assert "no administrator" in deleted.errors
    assert call("create-admin", ADMIN_PASSWORD=GOOD).code == 0
    assert is_admin(tmp_path, "admin", GOOD)


def test_an_unreachable_database_is_reported_without_its_password(call: Call) -> None:
    url = "postgresql://ann:a-very-own-secret@127.0.0.1:1/shop"
    ended = call("create-admin", DB_URL=url, ADMIN_PASSWORD=GOOD)
    assert (ended.code, ended.output) == (1, "")
    assert "127.0.0.1:1/shop" in ended.errors
    assert "cannot be reached" in ended.errors
    assert "a-very-own-secret" not in ended.errors


def test_at_a_terminal_the_password_is_asked_twice_and_hidden(tmp_path: Path) -> None:
    terminal, end = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "create-admin"],
        cwd=tmp_path,
        env=environ(),
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    ) as process:
        os.close(end)
        shown = b""
        while b"Created" not in shown and select([terminal], [], [], LIMIT)[0]:
            shown += os.read(terminal, 1000)
            if shown.endswith(b": "):
                os.write(terminal, f"{GOOD}\n".encode())
        os.close(terminal)
    assert process.returncode == 0
    assert GOOD.encode() not in shown
    assert b"Password of admin@example.com: " in shown
    assert is_admin(tmp_path, "admin@example.com", GOOD)


def test_outside_local_the_database_is_not_made(tmp_path: Path, call: Call) -> None:
    ended = call("create-admin", ENVIRONMENT="production", ADMIN_PASSWORD=GOOD, **KEYS)
    assert ended.code == 1
    assert "backstay db upgrade" in ended.errors
    assert list(tmp_path.iterdir()) == []


def test_a_common_password_of_the_first_is_refused(tmp_path: Path, call: Call) -> None:
    refused = call("db", "upgrade", ADMIN_PASSWORD="password")
    assert refused.code != 0
    assert "ADMIN_PASSWORD" in refused.errors
    assert "too common" in refused.errors
    assert "Traceback" not in refused.errors
