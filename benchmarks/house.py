"""Counts what a reader of the package has to know: ``python -m benchmarks.house [CHECKOUT]``.

A checkout of another version is counted by the same rules, so that two can be compared.
"""

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parents[1]
CAPABILITIES = {
    "caching": r"caching/|adapters/cache_|core/(caching|query_cache)",
    "jobs": r"jobs/|adapters/(wakeups|metrics_jobs)|db/(job|purging)"
    r"|core/(jobs|schedule|outbox|catalog|worker|shift|patience)",
    "limits": r"limits/|adapters/limiter_|core/rates|web/limits",
    "mail": r"mailing/|adapters/mail_|core/mail",
    "observability": r"observability/|adapters/(log_|metrics_[pw]|vitals_|database_metrics)",
    "principals": r"principals/|adapters/principals_|core/principal",
    "redis": r"redis/|adapters/redis_",
    "security": r"security/|adapters/(passwords_|breached_|tokens_|refresh_)|core/guesses",
}
"""By capability: the files that hold it, in rooms or in the folders by technology before them."""
REQUEST = """
import asyncio, json, logging, sys, threading
from pathlib import Path

import httpx
from backstay.composition import compose, seed
from backstay.db import migrate
try:
    from backstay.application import create_app
except ImportError:
    from backstay.application import create_app
from backstay.settings import load_settings

PASSWORD = "correct horse battery"
package, folder = sys.argv[1:]
settings = load_settings(
    environ={
        "ADMIN_EMAIL": "admin@example.org", "ADMIN_PASSWORD": PASSWORD, "SERVER_LOG": "false",
        "LOG_DIR": "", "MAIL_DIR": folder, "DB_URL": f"sqlite:///{folder}/house.db",
    },
    directory=Path(folder),
)
seen = set()


def note(frame, event, _):
    code = frame.f_code
    if event == "call" and code.co_filename.startswith(package):
        seen.add((code.co_filename, code.co_qualname))


async def main():
    backstay = compose(settings)
    await migrate.upgrade(backstay.database.options)
    await seed(backstay)
    await backstay.close()
    app = create_app(settings, worker=False)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            body = {"email": "admin@example.org", "password": PASSWORD, "transport": "body"}
            answer = await client.post("/api/v1/auth/login", json=body)
            bearer = {"Authorization": "Bearer " + answer.json()["access_token"]}
            for number in range(5):
                threading.setprofile(note)
                sys.setprofile(note if number == 4 else None)
                answer = await client.post(
                    "/api/v1/items", json={"title": f"Item {number}"}, headers=bearer
                )
                sys.setprofile(None)
                assert answer.status_code == 201, answer.text


asyncio.run(main())
print(json.dumps([len({file for file, _ in seen}), len(seen)]))
"""


def main() -> int:
    """Print the counts of this checkout, or of the one that is named."""
    root = Path(sys.argv[1]).resolve() if sys.argv[1:] else HERE
    trees = dict(_parsed(root))
    files, functions = _executed(root)
    concepts = _concepts(trees)
    lines = sum(len(file.read_text("utf-8").splitlines()) for file in _sources(root))
    table = Table(title=f"The package in {root.name}")
    table.add_column("")
    table.add_column("", justify="right")
    for name, count in (
        ("files that a warm POST /items executes", files),
        ("functions that it executes", functions),
        ("concepts: public classes, and functions that another room imports", concepts.total()),
        (
            "concepts of features, most of which are messages, views and tables",
            concepts["features"],
        ),
        ("concepts of the other rooms", concepts.total() - concepts["features"]),
        ("circles of imports, those for type checking counted", len(_circles(_imports(trees)))),
        ("files", len(trees)),
        ("lines", lines),
    ):
        table.add_row(name, str(count))
    rooms = Counter(_room(module) for module in trees)
    for room, count in sorted(rooms.items()):
        table.add_row(f"files of the room {room}", str(count))
    for capability, pattern in CAPABILITIES.items():
        held = _held(root, pattern)
        folders = len({file.parent for file in held})
        table.add_row(f"files that hold {capability}, in {folders} folders", str(len(held)))
    Console().print(table)
    return 0


def _sources(root: Path) -> list[Path]:
    found = (root / "src" / "backstay").rglob("*.py")
    return sorted(file for file in found if "versions" not in file.parts)


def _parsed(root: Path) -> Iterator[tuple[str, ast.Module]]:
    for file in _sources(root):
        parts = file.relative_to(root / "src").with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        yield name, ast.parse(file.read_text("utf-8"))


def _room(module: str) -> str:
    return f"{module}..".split(".")[1] or "backstay"


def _held(root: Path, pattern: str) -> list[Path]:
    """The files whose paths in the package begin as the pattern says, without an ``__init__``."""
    package = root / "src" / "backstay"
    return [
        file
        for file in _sources(root)
        if file.stem != "__init__" and re.match(pattern, file.relative_to(package).as_posix())
    ]


def _executed(root: Path) -> tuple[int, int]:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", REQUEST, str(root / "src" / "backstay"), folder],
            env=os.environ | {"PYTHONPATH": str(root / "src")},
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    files, functions = json.loads(done.stdout.splitlines()[-1])
    return files, functions


def _imports(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    """Of each module, those that it imports, wherever in it that stands."""
    found: dict[str, set[str]] = {}
    for module, tree in trees.items():
        found[module] = {name for name, _ in _imported(tree, trees) if name != module}
    return found


def _imported(tree: ast.Module, trees: dict[str, ast.Module]) -> Iterator[tuple[str, str]]:
    """The modules of the package that one imports from, and what; nothing for a whole one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((each.name, "") for each in node.names if each.name in trees)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for each in node.names:
                whole = f"{node.module}.{each.name}"
                if whole in trees:
                    yield whole, ""
                elif node.module in trees:
                    yield node.module, each.name


def _concepts(trees: dict[str, ast.Module]) -> Counter[str]:
    """The number of concepts by room."""
    public = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    abroad = {
        (source, name)
        for module, tree in trees.items()
        for source, name in _imported(tree, trees)
        if _room(source) != _room(module)
    }
    return Counter(
        _room(module)
        for module, tree in trees.items()
        for node in tree.body
        if isinstance(node, public) and not node.name.startswith("_")
        if isinstance(node, ast.ClassDef) or (module, node.name) in abroad
    )


def _circles(imports: dict[str, set[str]]) -> list[set[str]]:
    """The groups of modules each of which reaches the others."""
    reached = {module: _reached(module, imports) for module in imports}
    groups = (
        frozenset(other for other in reached[module] if module in reached.get(other, ()))
        for module in imports
    )
    return [set(group) for group in {group for group in groups if group}]


def _reached(module: str, imports: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [*imports[module]]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(imports.get(name, ()))
    return seen


if __name__ == "__main__":
    sys.exit(main())
