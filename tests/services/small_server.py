"""Stands for a server of `backstay serve` where only the way of its replacement is tested.

It starts in a moment, says of itself what probes ask for, keeps what is posted in a file, and
finishes its requests when it is told to stop.
"""

import os
import re
import select
import signal
import socket
import sys
import threading
from typing import Any

from backstay.server.closing import stop_accepting

VERSION = os.environ["APP_VERSION"]
KEPT = os.open(os.environ["KEPT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _answer(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as file:
        head = "".join(iter(lambda: file.readline().decode().strip("\r\n") + "\n", "\n"))
        if length := re.search(r"content-length: (\d+)", head, re.IGNORECASE):
            body = file.read(int(length[1]))
            if head.startswith("POST"):
                os.write(KEPT, body + b"\n")
        if head:
            bad = "/readyz" in head and "unready" in VERSION
            said = f'{{"version":"{VERSION}"}}'
            status = "503 Service Unavailable" if bad else "200 OK"
            lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(said)}", "Connection: close")
            connection.sendall("\r\n".join((*lines, "", said)).encode())


def _serve(port: int) -> None:
    stopped, stop = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(stop, b"x"))
    with socket.create_server(("127.0.0.1", port)) as listener:
        print(f"{VERSION} listens", flush=True)
        watched: list[Any] = [listener, stopped]
        while True:
            ready = select.select(watched, [], [])[0]
            if listener in ready:
                threading.Thread(target=_answer, args=(listener.accept()[0],)).start()
            elif stop_accepting() and not select.select([listener], [], [], 0.2)[0]:
                return  # the connections that waited have been accepted; threads answer them


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
