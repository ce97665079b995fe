"""An entity that the generator has written, beside items: a project is made for the measurement."""

import asyncio
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from sqlalchemy import text

from benchmarks.cases import API, CASES, Case, Requests
from benchmarks.load import Request
from benchmarks.measuring import WARM_UP_SECONDS, Plan, Results, load
from benchmarks.rows import writing
from benchmarks.stage import Stage, prepare, serving

ENTITY = ("Note", "title:str:200", "description:text?", "--owned", "--soft-delete")
"""The shape of items."""
ROWS = 1000
MEASURED = ("item", "page", "create")
_COPIED = "id, title, description, owner_id, created_at, updated_at, version"
_SERVED = """\
from bench.application import application

app = application.create_app(worker=False)
"""


def measure(url: str, folder: Path, plan: Plan) -> Results:
    """A row, a page and a new row of both entities, of one server without a cache."""
    plan.tell("generating an entity")
    stage = prepare(url, folder, ROWS)
    project = generate(folder, stage.environ)
    asyncio.run(_copy_items(url))
    path = os.pathsep.join([stage.environ["PYTHONPATH"], str(project), str(project / "src")])
    results: Results = defaultdict(list)
    with serving("served:app", stage.environ, CACHE_TTL_SECONDS="0", PYTHONPATH=path) as server:
        for number in range(plan.rounds):
            for case in (case for case in CASES if case.name in MEASURED):
                for entity, name in (("items", written(case.name)), ("notes", made(case.name))):
                    plan.tell(name)
                    requests = _about(entity, case, stage)
                    if number == 0:
                        load(server, requests, case, WARM_UP_SECONDS, stage)
                    results[name].append(load(server, requests, case, plan.seconds, stage))
    return results


def written(name: str) -> str:
    """What a measurement of items is called."""
    return f"{name} of items"


def made(name: str) -> str:
    """What a measurement of the generated entity is called."""
    return f"{name} generated"


def generate(folder: Path, environ: dict[str, str]) -> Path:
    """A project with the entity, whose tables are added to the database of the settings."""
    _backstay(folder, environ, "new", "bench")
    project = folder / "bench"
    _backstay(project, environ, "add", *ENTITY, "--force")  # git may not know who commits
    _backstay(project, environ, "db", "upgrade")
    (project / "served.py").write_text(_SERVED)
    return project


def _backstay(folder: Path, environ: dict[str, str], *arguments: str) -> None:
    command = [sys.executable, "-m", "backstay", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"backstay {' '.join(arguments)}:\n{done.stdout}{done.stderr}")


async def _copy_items(url: str) -> None:
    """The same rows in both tables."""
    async with writing(url) as connection:
        await connection.execute(text(f"INSERT INTO notes ({_COPIED}) SELECT {_COPIED} FROM items"))


def _about(entity: str, case: Case, stage: Stage) -> Requests:
    requests = case.ours(stage)
    ours = f"{API}/items"
    return tuple(
        Request(r.url.replace(ours, f"{API}/{entity}", 1), r.method, r.body, r.headers)
        for r in requests
    )
