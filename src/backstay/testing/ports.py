"""Gives tests a port for a server that they start."""

import random
import socket

_PORTS = range(10_000, 32_000)
"""Below those that systems give to clients (Linux: from 32768), which may take one at any time."""


def free_port() -> int:
    """A TCP port of this machine that nobody listens on at the moment."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
