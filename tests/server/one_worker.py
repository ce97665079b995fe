"""A worker's life as a program: it starts, answers `/readyz` once, and ends."""

PROGRAM = """
import asyncio
from backstay.server.worker import application

REQUEST = {
    "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": "/readyz",
    "raw_path": b"/readyz", "query_string": b"", "root_path": "", "headers": [(b"host", b"a")],
    "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "asgi": {"version": "3.0"},
}

async def live(app):
    told, said = asyncio.Queue(), asyncio.Queue()
    living = asyncio.create_task(app({"type": "lifespan", "state": {}}, told.get, said.put))
    told.put_nowait({"type": "lifespan.startup"})
    assert (await said.get())["type"] == "lifespan.startup.complete"
    await app(REQUEST, told.get, said.put)
    assert (await said.get())["status"] == 200
    told.put_nowait({"type": "lifespan.shutdown"})
    await living

asyncio.run(live(application()))
"""
