"""Shows where the console is: at `/admin`, on a port of its own, or nowhere."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from backstay.application import create_app
from backstay.testing import settings_with
from backstay.testing.people import PASSWORD
from backstay.testing.ports import free_port

pytestmark = pytest.mark.anyio

_ASKED = """
import asyncio, sys
from pathlib import Path
from backstay.application import create_app
from backstay.testing import settings_with
from backstay.testing.people import client_of

async def ask() -> None:
    app = create_app(settings_with(sys.argv[1], Path(sys.argv[2]), ADMIN_CONSOLE=sys.argv[3]))
    async with app.router.lifespan_context(app):
        async with client_of(app) as client:
            for path in ("/admin", "/admin/sign-in", "/admin/data/users", "/"):
                print((await client.get(path)).status_code)
    paths = [getattr(each, "path", "") for each in app.routes]
    print(any(path.startswith("/admin") for path in paths))
    print(any(name.startswith("backstay.admin") for name in sys.modules))

asyncio.run(ask())
"""


def asked(url: str, folder: Path, console: str) -> list[str]:
    """What a process of its own answers: statuses, whether it has routes, and modules."""
    ran = subprocess.run(
        [sys.executable, "-c", _ASKED, url, str(folder), console],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
    )
    return [line for line in ran.stdout.split() if line.isdigit() or line in {"True", "False"}]


def test_switched_off_nothing_of_it_is_there(seeded_url: str, tmp_path: Path) -> None:
    assert asked(seeded_url, tmp_path, "false") == ["404", "404", "404", "200", "False", "False"]
    assert asked(seeded_url, tmp_path, "true") == ["303", "200", "303", "200", "True", "True"]


async def test_nothing_of_it_is_loaded_before_somebody_asks(
    seeded_url: str, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from backstay.application import create_app; from backstay.testing import settings_with\n"
        "create_app(settings_with(sys.argv[1], Path(sys.argv[2])))\n"
        "assert not [n for n in sys.modules if n.startswith(('backstay.admin', 'jinja2'))]\n"
    )
    arguments = [sys.executable, "-c", code, seeded_url, str(tmp_path)]
    subprocess.run(arguments, check=True, capture_output=True)  # noqa: ASYNC221


async def test_a_port_of_its_own_has_the_console_only(seeded_url: str, tmp_path: Path) -> None:
    port = free_port()
    moved = settings_with(seeded_url, tmp_path, ADMIN_CONSOLE_PORT=str(port))
    app: FastAPI = create_app(moved)
    origin = f"http://127.0.0.1:{port}"
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://testserver"
        ) as here:
            assert (await here.get("/admin")).status_code == 404
        async with httpx.AsyncClient(base_url=origin, headers={"Origin": origin}) as there:
            form = {"login": "admin", "password": PASSWORD}
            assert (await there.post("/admin/sign-in", data=form)).status_code == 303
            assert (await there.get("/admin/data/users")).status_code == 200
            assert (await there.get("/api/v1/users")).status_code == 404
            assert (await there.get("/docs")).status_code == 404
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient() as nobody:
            await nobody.get(origin)
