"""Shows that each mistake of a project is told at the start, with its place, wherever it runs."""

import json
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from backstay.core.wiring import Code
from backstay.db import sqlite
from backstay.testing import Templates
from backstay.testing.ports import free_port
from backstay.testing.waiting import LIMIT
from tests.application.mistakes import Case, cases, write
from tests.cli.process import KEYS, environ

ELSEWHERE = {
    Code.APPLICATION_NAME: "src/shop/main.py",
    Code.APPLICATION_SHAPE: "src/shop/main.py",
    Code.APPLICATION_REPLACE: "src/shop/main.py",
    Code.APPLICATION_PROVIDE: "src/shop/main.py",
    Code.FEATURE_FOUNDATION: "features/rate_rules/",
    Code.FEATURE_EJECTED: "ejected/backstay/features/pens/__init__.py:1",
    Code.TEMPLATE_FOLDER: "nowhere",
    Code.TEMPLATE_UNREADABLE: "torn/mail/broken.txt",
    Code.TEMPLATE_NAME: "letters/mail/Big-Name",
    Code.TEMPLATE_TWIN: "letters/mail/alone.txt",
    Code.TEMPLATE_SUBJECT: "letters/mail/silent.txt",
    Code.TEMPLATE_VALUE: "letters/mail/reset_password.txt",
    Code.SERVER_TWICE: "shop.db",
}
"""Places of errors that are not those of the feature with the mistake."""
MAKE = """
import asyncio, json, os, sys
from contextlib import AsyncExitStack
from pathlib import Path

sys.path.insert(0, "src")
from backstay.core.wiring import BootError
from backstay.db import sole_server
from shop.main import made

sole_server.PATIENCE = 0


async def start(application, times):
    async with AsyncExitStack() as running:
        for _ in range(times):
            app = application.create_app(worker=False)
            await running.enter_async_context(app.router.lifespan_context(app))


told = {}
for run, names in json.loads(sys.argv[1]).items():
    os.environ["ENVIRONMENT"] = "production" if run == "serve" else "local"
    try:
        asyncio.run(start(made(names), 1 + (run == "serve")))
        told[run] = []
    except BootError as error:
        told[run] = [(each.code, each.where, str(each)) for each in error.faults]
Path("told.json").write_text(json.dumps(told))
"""


def test_each_mistake_of_a_project_is_told(tmp_path: Path, templates: Templates) -> None:
    made, runs = list(cases()), defaultdict(list)
    for case in made:
        runs[case.run].append(case.name)
    write(tmp_path, made)
    url, _ = templates.copy("sqlite", tmp_path, "shop.db")
    with closing(sqlite.in_use().module.connect(tmp_path / "shop.db")) as database:
        database.execute("CREATE TABLE boards (id BLOB PRIMARY KEY)")
    done = ran(tmp_path, "-W", "ignore", "-c", MAKE, json.dumps(runs), DB_URL=url, **KEYS)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "told.json").read_text())
    untold = [case for case in made if not any(tells(case, *each) for each in told[case.run])]
    assert [(case.code, told[case.run]) for case in untold] == []
    assert {case.code for case in made} == {*Code}


FEW = {
    Code.ROLE_LEVEL,
    Code.MESSAGE_ATTRIBUTE,
    Code.ROUTE_OPTION,
    Code.FEATURE_MODULE_NOT_LISTED,
    Code.TABLE_TWICE,
}
UNWRITTEN = {Code.FEATURE_MODULE_NOT_LISTED, Code.TABLE_TWICE}
"""Mistakes with which no migration is written."""
KIT = ("--database=sqlite", "--import-mode=importlib", "-o", "anyio_mode=auto")
TEST = """
async def test_nobody_gets_this_far(client): ...
async def test_nor_this_far(login): ...
"""


def test_servers_and_pytest_tell_mistakes_alike(tmp_path: Path) -> None:
    made = [case for case in cases() if case.code in FEW]
    write(tmp_path, made)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_shop.py").write_text(TEST)
    kit = ("pytest", "-q", "-p", "backstay.testing", "-p", "no:cacheprovider", *KIT, "tests")
    commands = (
        ("backstay", "serve", "--port", str(free_port())),
        ("uvicorn", "--app-dir", "src", "shop.main:application.asgi"),
        kit,
        ("backstay", "db", "revision", "boxes"),
    )
    with ThreadPoolExecutor() as pool:
        served, others, tested, revised = pool.map(
            lambda each: ran(tmp_path, "-m", *each), commands
        )
    told = served.stderr.splitlines()
    assert {line.split()[0] for line in told} >= FEW
    assert (served.returncode, served.stdout) == (1, "")
    assert (others.returncode, others.stderr.splitlines()) == (1, told)
    assert tested.returncode == 1
    assert [line for line in tested.stdout.splitlines() if line in told] == told
    assert revised.returncode == 1
    assert {line.split()[0] for line in revised.stderr.splitlines()} == UNWRITTEN
    assert set(revised.stderr.splitlines()) < set(told)
    assert "Traceback" not in tested.stdout
    assert "the application does not start" in tested.stdout


def ran(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, in the folder of a project."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environ(SERVER_LOG="false", COLUMNS="200", **variables),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def tells(case: Case, code: str, where: str, sentence: str) -> bool:
    """Whether an error is about a case: it has its code and place, and is a sentence."""
    place = ELSEWHERE.get(Code(case.code), f"src/shop/{case.name}/")
    return code == case.code and place in where and sentence.endswith(".")
