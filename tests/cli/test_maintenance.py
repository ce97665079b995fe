"""Shows how maintenance is switched on the command line, and that processes know of it."""

import re
import signal
from pathlib import Path

import httpx
import pytest

from backstay.testing import ADMIN_EMAIL, PASSWORD
from backstay.testing.waiting import until
from tests.cli.conftest import Call
from tests.cli.process import Server, run_warm, serving
from tests.features.steps import API, AUTH, bearer, needs

ITEMS = f"{API}/items"


def write(server: Server, headers: dict[str, str]) -> httpx.Response:
    return server.client.post(ITEMS, json={"title": "a"}, headers=headers)


def sign_in(server: Server) -> dict[str, str]:
    body = {"email": ADMIN_EMAIL, "password": PASSWORD, "transport": "body"}
    answer = server.client.post(f"{AUTH}/login", json=body)
    assert answer.status_code == 200, answer.text
    return bearer(answer.json()["access_token"])


def test_maintenance_is_switched_and_shown(call: Call) -> None:
    assert call("maintenance", "status").output == "maintenance   off\nrunning jobs  0\n"
    begun = call("maintenance", "on", "--for", "30m", "--reason", "We move.")
    end = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    on = rf"Maintenance is on until {end}: requests change nothing, and no job begins\.\n"
    assert re.fullmatch(on, begun.output), begun
    shown = call("maintenance", "status").output
    assert [line.split()[0] for line in shown.splitlines()] == [
        *("maintenance", "since", "until", "operator", "reason", "running")
    ]
    again = call("maintenance", "on").output
    assert again.startswith("Maintenance is on until you switch it off: requests"), again
    assert "until" not in call("maintenance", "status").output
    drained = call("worker", "--drain")
    assert (drained.code, "Maintenance is on" in drained.errors) == (1, True)
    assert call("create-tier", "pro").code == 0
    assert call("maintenance", "off").output == "Maintenance is off.\n"
    assert call("maintenance", "off").output == "Maintenance was off.\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--for", "3x"), "'3x' is no period"),
        (("--for", "0m"), "'0m' must be longer than 0."),
        (("--for", "31d"), "It may last 30d at most."),
        (("--reason", "x" * 501), "reason: "),
    ],
)
def test_what_is_wrong_is_a_sentence(call: Call, arguments: tuple[str, ...], told: str) -> None:
    ended = call("maintenance", "on", *arguments)
    assert ended.code == 2
    assert told in " ".join(ended.errors.replace("│", "").split())
    assert "off" in call("maintenance", "status").output


@needs("items")
def test_a_killed_server_still_knows_of_maintenance(home: Path) -> None:
    with serving(home) as server:
        headers = sign_in(server)
        assert write(server, headers).status_code == 201
        assert run_warm(home, "maintenance", "on", "--reason", "We move.").code == 0
        assert write(server, headers).status_code == 503
        server.stop(signal.SIGKILL, group=True)
    with serving(home) as server:
        refused = write(server, sign_in(server))
        assert (refused.status_code, refused.json()["detail"]) == (503, "We move.")
        assert server.client.get(ITEMS, headers=headers).status_code == 200
        assert "maintenance is on" in server.printed
        assert run_warm(home, "maintenance", "off").code == 0
        until(lambda: write(server, headers).status_code == 201)
