"""Closes the door of a server before the server stops, so that nobody is lost in between.

A listening socket that is closed resets the connections that wait in its queue, though a proxy has
already sent a request on each. Linux can drop new handshakes instead, by a classic filter of
socket(7): who sends one tries again after a second, is refused by then, and goes elsewhere with
nothing lost. Where there is no such filter, as on other systems, servers stop at once.
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
from pathlib import Path
from types import FrameType

SECONDS = 0.2
"""How long whoever had come before gets to be let in and to say what they want."""
LEAVE = signal.SIGUSR2
"""Tells a process with a socket of its own to close its door, and then to end."""
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
    """Take no new connections at any socket of this process; wait for those under way."""
    if stop_accepting():
        time.sleep(SECONDS)


def leave(number: int, frame: FrameType | None) -> None:
    """Handles `LEAVE`."""
    wait = SECONDS if stop_accepting() else 0
    threading.Timer(wait, os.kill, (os.getpid(), signal.SIGTERM)).start()


def stop_accepting() -> bool:
    """Whether new handshakes are dropped now, also for others that hold the same sockets."""
    if sys.platform != "linux":
        return False
    steps = b"".join(struct.pack("HBBI", *step) for step in _NO_HANDSHAKES)
    held = ctypes.create_string_buffer(steps)
    program = struct.pack("HP", len(_NO_HANDSHAKES), ctypes.addressof(held))
    try:
        for listener in _listeners():
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except OSError:
        return False  # a sandbox may know neither /proc nor filters
    return True


def _listeners() -> Iterator[socket.socket]:
    for entry in Path("/proc/self/fd").iterdir():
        try:
            one = socket.socket(fileno=int(entry.name))
        except OSError:
            continue  # a file, or closed meanwhile
        try:
            is_tcp = one.family in {socket.AF_INET, socket.AF_INET6}
            if is_tcp and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                yield one
        finally:
            one.detach()
