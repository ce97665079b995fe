"""Shows that a closing server accepts the clients in its queue, and no new ones, on any socket."""

import socket
import subprocess
import sys
import textwrap

import pytest

from backstay.server import closing
from backstay.server.closing import STALLED_SECONDS, drop_stalled_clients
from backstay.testing.waiting import LIMIT, until

PROGRAM = """
    import socket
    from backstay.server.closing import stop_accepting

    door = socket.create_server(("127.0.0.1", 0))
    address = door.getsockname()
    before = socket.create_connection(address)
    before.sendall(b"early")
    assert stop_accepting()
    late = socket.socket()
    late.settimeout(0.5)
    try:
        late.connect(address)
    except TimeoutError:
        print("nobody new")
    print(door.accept()[0].recv(5).decode())
    door.close()
    try:
        socket.create_connection(address)
    except ConnectionRefusedError:
        print("closed")
"""


def test_accepted_clients_are_served_and_new_ones_refused() -> None:
    program = textwrap.dedent(PROGRAM)
    told = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert told.stderr == ""
    assert told.stdout.splitlines() == ["nobody new", "early", "closed"]


def test_without_socket_filters_a_server_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "_SO_ATTACH_FILTER", 9_999)
    with socket.create_server(("127.0.0.1", 0)):
        assert not closing.stop_accepting()


@pytest.mark.skipif(sys.platform != "linux", reason="the option is Linux's")
def test_connections_of_clients_that_take_nothing_are_reset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(closing, "_listeners", lambda: iter([listener]))
        drop_stalled_clients()

        def timeout(one: socket.socket) -> int:
            return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)

        until(lambda: timeout(listener) == STALLED_SECONDS * 1000)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert timeout(accepted) == STALLED_SECONDS * 1000
