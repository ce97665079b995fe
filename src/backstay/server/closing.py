"""Stops accepting connections before a server stops, so that no request is lost.

If a listening socket is closed, the kernel resets the connections that wait in its accept queue,
although a proxy may already have sent a request on each. On Linux a classic filter (socket(7))
drops new handshakes instead. A client whose handshake was dropped tries again after a second; by
then the socket is closed, so its connection is refused and it can go to another server without
having lost a request. Where filters are not available, as on other systems, servers stop at once.
"""

import ctypes
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType

SECONDS = 0.2
"""How long the server still accepts connections from before, and waits for their requests."""
STALLED_SECONDS = 75
"""How long a client may take nothing of a response. It is longer than the application waits
for the client of a stream (web/streams.py), so that the application gives up first."""
LISTEN_SECONDS = 60.0
"""How long a server may take to listen once its application has started."""
_POLL_SECONDS = 0.01
LEAVE = signal.SIGUSR2
"""The signal on which a process with its own socket stops accepting, and then ends."""
_SO_ATTACH_FILTER = 26
_LOAD_BYTE, _JUMP_IF_SET, _RETURN = 0x30, 0x45, 0x06
_TCP_FLAGS, _SYN, _NOTHING, _ALL = 13, 0x02, 0, 0xFFFFFFFF
_NO_HANDSHAKES = (
    (_LOAD_BYTE, 0, 0, _TCP_FLAGS),
    (_JUMP_IF_SET, 0, 1, _SYN),
    (_RETURN, 0, 0, _NOTHING),
    (_RETURN, 0, 0, _ALL),
)


def drain_accept_queue() -> None:
    """Stop accepting on all sockets of this process, then wait ``SECONDS`` for earlier
    connections."""
    if stop_accepting():
        time.sleep(SECONDS)


def leave(number: int, frame: FrameType | None) -> None:
    """The handler of ``LEAVE``: stop accepting, then send this process SIGTERM."""
    wait = SECONDS if stop_accepting() else 0
    threading.Timer(wait, os.kill, (os.getpid(), signal.SIGTERM)).start()


def stop_accepting() -> bool:
    """Drop new handshakes, also for other processes with these sockets; False if not possible."""
    if sys.platform != "linux":
        return False
    steps = b"".join(struct.pack("HBBI", *step) for step in _NO_HANDSHAKES)
    held = ctypes.create_string_buffer(steps)
    program = struct.pack("HP", len(_NO_HANDSHAKES), ctypes.addressof(held))
    try:
        for listener in _listeners():
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except OSError:
        return False  # a sandbox may have neither /proc nor filters
    return True


def drop_stalled_clients() -> None:
    """Let the system reset each connection whose client takes nothing for ``STALLED_SECONDS``.

    A server that closes such a connection would wait until the client has taken what is buffered.
    Connections inherit the option of the socket that accepts them (tcp(7), ``TCP_USER_TIMEOUT``);
    where there is none, as outside Linux, they stay. A server listens only after its application
    has started, so a thread waits for that.
    """
    if sys.platform == "linux":
        threading.Thread(target=_set_timeout, name="drop-stalled-clients", daemon=True).start()


def _set_timeout() -> None:
    deadline, is_set = time.monotonic() + LISTEN_SECONDS, False
    with suppress(OSError):  # a sandbox may have neither /proc nor the option
        while not is_set and time.monotonic() < deadline:
            for one in _listeners():
                milliseconds = STALLED_SECONDS * 1000
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
                is_set = True
            time.sleep(_POLL_SECONDS)


def _listeners() -> Iterator[socket.socket]:
    return (each for each in _sockets() if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _sockets() -> Iterator[socket.socket]:
    """The TCP sockets of this process."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            one = socket.socket(fileno=int(entry.name))
        except OSError:
            continue  # not a socket, or closed meanwhile
        try:
            is_tcp = one.family in {socket.AF_INET, socket.AF_INET6}
            if is_tcp and one.type == socket.SOCK_STREAM:
                yield one
        finally:
            one.detach()
