"""Stands for a server of `backstay serve` where only the way of its replacement is tested.

It starts in a moment, says of itself what probes ask for, keeps what is posted in a file, and
finishes its requests when it is told to stop.
"""

import asyncio
import os
import re
import select
import signal
import sys

from backstay.server.closing import stop_accepting

VERSION = os.environ["APP_VERSION"]
KEPT = os.open(os.environ["KEPT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    if length := re.search(r"content-length: (\d+)", head, re.IGNORECASE):
        body = (await reader.readexactly(int(length[1]))).decode()
        if head.startswith("POST"):
            os.write(KEPT, f"{body}\n".encode())
    status = "503 Service Unavailable" if "/readyz" in head and "unready" in VERSION else "200 OK"
    said = f'{{"version":"{VERSION}"}}'
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(said)}", "Connection: close")
    writer.write("\r\n".join((*lines, "", said)).encode())
    await writer.drain()
    writer.close()


async def _serve(port: int) -> None:
    stopped, running = asyncio.Event(), set[asyncio.Task[None]]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        running.add(task)
        try:
            await _answer(reader, writer)
        except asyncio.IncompleteReadError:
            writer.close()  # a probe that only connects
        finally:
            running.discard(task)

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    server = await asyncio.start_server(connected, "127.0.0.1", port)
    print(f"{VERSION} listens", flush=True)
    await stopped.wait()
    stop_accepting()
    while select.select(server.sockets, [], [], 0)[0]:  # noqa: ASYNC110 - no event tells of them
        await asyncio.sleep(0)  # connections that wait already are accepted
    server.close()
    while running:
        await asyncio.wait(running)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
