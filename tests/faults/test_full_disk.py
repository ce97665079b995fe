"""Shows that a full disk stops no server: writes are refused, everything else works."""

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from backstay.db import watch
from backstay.testing import ADMIN_EMAIL, PASSWORD, Templates
from backstay.testing.waiting import until
from tests.cli.process import Server, serving
from tests.faults.conftest import Running
from tests.features.steps import API, AUTH, bearer, needs
from tests.logs import logged
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, needs("items"), needs("system")]
SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"])
FULL = "The disk of the database is full."


def refused(answer: httpx.Response) -> None:
    problem(answer, 503, "db_unavailable")
    assert int(answer.headers["retry-after"]) >= 1


async def fill(running: Running) -> httpx.Response:
    """Create items until one is refused."""
    while (answer := await running.create("x" * 200)).status_code == 201:
        pass
    return answer


@SQLITE
async def test_a_database_that_cannot_grow_is_reported_and_still_read(running: Running) -> None:
    client, database = running.client, running.backstay.database
    database.watch._monotonic = lambda: now
    now = 0.0

    async def limit(pages: str) -> None:
        async with database.writer.connect() as connection:
            await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    await limit("1")  # that is as many as there are
    with logged(watch) as logs:
        for _ in range(3):
            refused(await fill(running))
    assert [told["reason"] for told in logs] == [FULL]
    assert (await client.get(f"{API}/items")).status_code == 200
    assert (await client.get("/readyz")).json()["reason"] == FULL
    assert (await client.get("/health")).json()["reasons"]["database"] == FULL
    await limit("1000000")
    now += 60.0
    assert (await client.get("/readyz")).status_code == 200
    assert (await running.create("Kept")).status_code == 201


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root may make a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class TestSmallDisk:
    pytestmark = SQLITE

    @pytest.fixture
    def seeded_url(self, database_kind: str, templates: Templates, tmp_path: Path) -> Iterator[str]:
        with small_disk(tmp_path / "disk") as disk:
            yield templates.copy(database_kind, disk)[0]

    async def test_a_full_disk_is_reported_before_the_first_write(
        self, running: Running, tmp_path: Path
    ) -> None:
        client, filler = running.client, tmp_path / "disk" / "filler"
        running.backstay.database.watch._monotonic = lambda: now
        now = 0.0
        assert (await running.create("Kept")).status_code == 201
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        assert (await client.get("/readyz")).json()["reason"] == FULL
        assert (await client.get("/health")).status_code == 503
        refused(await fill(running))
        assert (await client.get(f"{API}/items")).status_code == 200
        filler.unlink()
        now += 60.0
        assert (await client.get("/readyz")).status_code == 200
        assert (await running.create("Kept")).status_code == 201


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux")
def test_a_server_without_any_disk_space_keeps_serving(
    templates: Templates, tmp_path: Path
) -> None:
    """No database, log file, mail or standard error can be written."""
    url, _ = templates.copy("sqlite", tmp_path)
    variables = {"DB_URL": url, "LOG_DIR": "logs", "RATE_LIMIT_ENABLED": "false"}
    with serving(tmp_path, **variables) as server:
        client = server.client
        body = {"email": ADMIN_EMAIL, "password": PASSWORD}
        client.headers.update(
            bearer(client.post(f"{AUTH}/login", json=body).json()["access_token"])
        )
        assert client.post(f"{API}/items", json={"title": "Kept"}).status_code == 201
        server.is_broken = True
        limit(server, 1)
        for _ in range(3):
            refused(client.post(f"{API}/items", json={"title": "Lost"}))
            refused(client.post(f"{AUTH}/login", json=body))
            refused(client.post(f"{AUTH}/password/forgot", json={"email": ADMIN_EMAIL}))
            listed = client.get(f"{API}/items").json()["items"]
            assert [item["title"] for item in listed] == ["Kept"]
        probed = [client.get(path).status_code for path in ("/livez", "/readyz", "/health")]
        assert probed == [200, 503, 503]
        limit(server, resource.RLIM_INFINITY)
        until(lambda: client.post(f"{API}/items", json={"title": "Kept"}).status_code == 201)
        assert client.post(f"{AUTH}/password/forgot", json={"email": ADMIN_EMAIL}).is_success
        until(lambda: list((tmp_path / ".backstay" / "mail").glob("*.eml")))
        activity = tmp_path / "logs" / "activity.log"
        until(lambda: activity.read_text().count("CreateItem") == 2)


def limit(server: Server, size: int) -> None:
    """Limit the size of every file that the server's processes write (RLIMIT_FSIZE)."""
    for pid in server.family():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
