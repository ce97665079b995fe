"""Shows that the shell sends as anybody, what it refuses, and that the audit trail names whom."""

import asyncio
from io import StringIO
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from backstay.cli.shell import _Console
from tests.cli.conftest import Call
from tests.files import look_into

ADMIN = "admin@example.com"


def trail(folder: Path) -> list[tuple[str, str, str, str, bool]]:
    """Of each row: actor, message, operator, outcome, and whether it names a user."""
    with look_into(folder / "backstay.db") as connection:
        rows = connection.execute(
            "SELECT actor, message, operator, outcome, user_id IS NOT NULL FROM activity "
            "WHERE operator IS NOT NULL ORDER BY id"
        )
        return [(*row[:4], bool(row[4])) for row in rows]


@pytest.mark.usefixtures("home")
def test_every_send_is_audited_with_person_and_operator(tmp_path: Path, call: Call) -> None:
    script = f"""
ann = user("{ADMIN}")
me = await ann(GetMe())
print(me.email, ann)
await user(str(me.id))(CreateItem(title="sail"))
await system(GetHealth())
"""
    done = call("shell", "--operator", "Bo", "--code", script)
    assert (done.code, done.errors) == (0, "")
    assert done.output == f"{ADMIN} user('{ADMIN}')\n"
    assert trail(tmp_path) == [
        ("user", "GetMe", "Bo", "ok", True),
        ("user", "CreateItem", "Bo", "ok", True),
        ("system", "GetHealth", "Bo", "ok", False),
    ]


@pytest.mark.usefixtures("home")
def test_refusals_are_audited_and_told_in_one_line(tmp_path: Path, call: Call) -> None:
    script = f'await user("{ADMIN}")(DeleteItem(id="{"0" * 32}"))'
    done = call("shell", "--operator", "Bo", typed=script)
    assert (done.code, done.output, done.errors) == (1, "", "404 not_found: Not found\n")
    assert trail(tmp_path) == [("user", "DeleteItem", "Bo", "refused", True)]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("CreateItem(titel='x')", "422 validation_error: title: Field required; titel: Extra"),
        ("CreateItem(title=['secret'])", "422 validation_error: title: Input should be"),
        ("ListItems(sort='price')", "422 validation_error: input: sort knows"),
        ("await user('nobody')(GetMe())", "404 not_found: Nobody has"),
        (f"await user({'0' * 32!r})(GetMe())", "403 forbidden: 0000"),
    ],
)
@pytest.mark.usefixtures("home")
def test_what_cannot_be_sent_is_a_sentence(call: Call, script: str, told: str) -> None:
    done = call("shell", "-c", script)
    assert (done.code, done.output) == (1, "")
    assert done.errors.startswith(told)
    assert "secret" not in done.errors


@pytest.mark.usefixtures("home")
def test_a_user_has_only_their_own_rights(call: Call) -> None:
    script = f"""
await system(RegisterUser(email="eve@example.com", password="a long enough one"))
try:
    await user("eve@example.com")(ListUsers())
except Exception as error:
    print(error.code)
them = await user("{ADMIN}")(ListUsers(q="eve"))
await user("{ADMIN}")(BlockUser(id=them.items[0].id))
await user("eve@example.com")(GetMe())
"""
    done = call("shell", "-c", script)
    assert (done.code, done.output) == (1, "forbidden\n")
    assert done.errors == "403 forbidden: eve@example.com is nobody who may sign in\n"


@pytest.mark.usefixtures("home")
def test_messages_are_found_by_a_word(call: Call) -> None:
    done = call("shell", "-c", "messages('RESTOREITEM')")
    assert done.output.split()[:2] == ["RestoreItem", "Bring"]


def test_what_is_not_awaited_is_told_at_the_prompt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO("later(0)\nNone\n40 + 2\n"))
    with start_blocking_portal() as portal:
        _Console(portal, {"later": asyncio.sleep}).talk("Hello.")
    told = capsys.readouterr().out
    assert "It has not run: write await before it, as in await system(...)\n" in told
    assert "42\n" in told


@pytest.mark.parametrize("code", ["1/0", "x = (", "await system(3)"])
@pytest.mark.usefixtures("home")
def test_faulty_code_ends_with_one(call: Call, code: str) -> None:
    assert call("shell", "-c", code).code == 1


@pytest.mark.parametrize("operator", ["x" * 201, "Bo\n"])
@pytest.mark.usefixtures("home")
def test_an_operators_name_fits_the_trail(call: Call, operator: str) -> None:
    assert call("shell", "--operator", operator + "y", "-c", "1").code == 2


@pytest.mark.usefixtures("home")
def test_create_admin_names_the_operator(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "deck")
    done = call("create-admin", "--email", "bo@example.com", SUDO_USER="bo")
    assert done.code == 0
    assert ("system", "CreateAdmin", "bo@deck", "ok") in [row[:4] for row in trail(tmp_path)]
