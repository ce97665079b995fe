"""Shows what administrators see of backups over HTTP, and how they let one be made."""

import shlex

import pytest
from sqlalchemy import update

from backstay.backups.table import Backup
from backstay.composition import Backstay
from backstay.core.permissions import Scope
from backstay.jobs.statements import NOW
from backstay.jobs.tables import Job
from backstay.testing import Login
from backstay.testing.postgres_server import PostgresServer
from tests.features.granting import grant
from tests.features.steps import API, execute
from tests.jobs.steps import drain
from tests.web.problems import problem

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"], indirect=True),
]
BACKUPS = f"{API}/system/backups"


@pytest.fixture
def variables(database_kind: str, request: pytest.FixtureRequest) -> dict[str, str]:
    if database_kind == "sqlite":
        return {}
    server: PostgresServer = request.getfixturevalue("postgres")
    return {"BACKUP_PG_BIN": str(server.programs)}


async def test_a_backup_is_made_by_a_job_and_listed(backstay: Backstay, login: Login) -> None:
    admin = await login("admin")
    assert (await admin.client.get(BACKUPS)).json()["items"] == []
    started = await admin.client.post(BACKUPS)
    assert started.status_code == 202, started.text
    job_id = started.json()["id"]
    assert started.headers["location"] == f"{API}/system/jobs/{job_id}"
    assert (await admin.client.post(BACKUPS)).json()["id"] == job_id
    assert await drain(backstay) >= 1
    job = (await admin.client.get(started.headers["location"])).json()
    assert (job["state"], job["result"]) == ("succeeded", "proven")
    (listed,) = (await admin.client.get(BACKUPS, params={"state": "proven"})).json()["items"]
    assert (listed["state"], listed["reason"]) == ("proven", "")
    assert listed["size"] > 1000
    place = ["--from", backstay.settings.backup.dir]
    told = ["backstay", "db", "restore", listed["name"], *place]
    assert shlex.split(listed["restore"]) == told
    assert (await admin.client.post(BACKUPS)).json()["id"] != job_id


async def test_a_backup_of_the_schedule_counts_as_under_way(
    backstay: Backstay, login: Login
) -> None:
    admin = await login("admin")
    job_id = (await admin.client.post(BACKUPS)).json()["id"]
    scheduled = update(Job).where(Job.name == "MakeBackup")
    fields = {"unique_key": "schedule:MakeBackup", "state": "running", "due_at": NOW}
    await execute(backstay, scheduled.values(fields))
    assert (await admin.client.post(BACKUPS)).json()["id"] == job_id


async def test_what_was_not_made_says_why_without_credentials(
    backstay: Backstay, login: Login
) -> None:
    admin = await login("admin")
    row = {
        "name": "", "location": "s3://ann:hunter2@bucket/it's", "state": "failed", "size": 0,
        "reason": "https://ann:hunter2@host refuses.", "seconds": 1.5,
        "started_at": backstay.clock(), "finished_at": backstay.clock(),
    }  # fmt: skip
    rows = [Backup(**row), Backup(**row | {"name": "shop-1", "state": "unproven"})]
    async with backstay.database.writer.begin() as connection:
        for each in rows:
            values = {name: value for name, value in vars(each).items() if name in row}
            await connection.execute(Backup.__table__.insert().values(values))  # type: ignore[attr-defined]
    answer = await admin.client.get(BACKUPS)
    assert "hunter2" not in answer.text
    hints = {each["name"]: each["restore"] for each in answer.json()["items"]}
    assert hints[""] is None
    assert shlex.split(hints["shop-1"])[-1] == "s3://ann:********@bucket/it's"


async def test_the_policy_says_that_no_backup_is_made(login: Login, backstay: Backstay) -> None:
    admin = await login("admin")
    policy = (await admin.client.get(f"{BACKUPS}/policy")).json()
    assert policy == {
        "location": backstay.settings.backup.dir,
        "interval": 0,
        "keep": 7,
        "is_encrypted": False,
        "note": "No backup is made by itself, because BACKUP_INTERVAL is 0.",
    }


async def test_backups_need_permissions_for_all_rows(login: Login, backstay: Backstay) -> None:
    person, clerk = await login(), await login()
    await grant(backstay, clerk.id, "backups:list", Scope.OWN, "backups:create")
    for one in (person, clerk):
        problem(await one.client.post(BACKUPS), 403, "forbidden")
        problem(await one.client.get(f"{BACKUPS}/policy"), 403, "forbidden")
    problem(await person.client.get(BACKUPS), 403, "forbidden")
    assert (await clerk.client.get(BACKUPS)).json()["items"] == []
