"""Selects the tests to run, their order, and which of them share a test process."""

import ast
import functools
import inspect
import json
import shlex
import sys
import tempfile
import zlib
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
FIRST, SECOND = "sqlite", "postgresql"
ON_BOTH = frozenset({"backups", "db", "jobs", "faults", "test_same_rights"})
"""Folders and modules whose tests run on both databases, as do tests of lists."""
CONCURRENT = frozenset({"anyio", "asyncio"})
"""Tests that use one of these modules run on both databases, too: they are concurrent."""
SAMPLE = 5
"""Of all others, a module's first test and one in this many run on the second database, too."""
QUICK = 8
"""A quick run takes one in this many of the tests that start no process, on one database."""
STARTERS = frozenset({"multiprocessing", "playwright", "subprocess"})
"""Modules that start processes; a test that imports one is no quick test."""
SERVERS = frozenset({"postgres", "valkey"})
"""Fixtures that are servers."""
CHOSEN = "valkey"
"""The fixture that other fixtures request by this name at run time."""
SHARED = frozenset({"module", "package", "class"})
"""Scopes of fixtures that several tests share."""
_GROUPS = pytest.StashKey[Path]()


def add_options(parser: pytest.Parser) -> None:
    """Options of the command line that select tests."""
    parser.addoption(
        "--both", action="store_true", help="every test on both databases, instead of a sample"
    )
    parser.addoption(
        "--quick", action="store_true", help="a sample of what starts no process, on one database"
    )


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests to run; tests that share a server come first, and run in one test process."""
    kept = items
    if config.getoption("--quick"):
        kept = [item for item in items if _is_quick(item)]
    elif not config.getoption("--both"):
        kept = _sampled(items)
    left_out = set(items).difference(kept)
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = sorted(kept, key=_rank)
    if run := getattr(config, "workerinput", None):
        groups = {item.nodeid: group for item in items if (group := _group(item))}
        written = Path(f"{run['groups']}-{run['workerid']}")
        written.write_text(json.dumps(groups))
        written.replace(run["groups"])


def groups_file(config: pytest.Config) -> Path:
    """The file by which test processes tell the controlling process which tests belong together."""
    if _GROUPS not in config.stash:
        folder = tempfile.TemporaryDirectory(prefix="backstay-tests-")
        config.add_cleanup(folder.cleanup)
        config.stash[_GROUPS] = Path(folder.name) / "groups"
    return config.stash[_GROUPS]


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives single tests, or whole groups, to the next free test process."""

    @functools.cached_property
    def _groups(self) -> dict[str, str]:
        groups: dict[str, str] = json.loads(groups_file(self.config).read_text())
        return groups

    def _split_scope(self, nodeid: str) -> str:
        return self._groups.get(nodeid, nodeid)


def forbid_processes() -> None:
    """Make every start of a process fail from now on, until this process ends."""

    def refuse(event: str, _: tuple[object, ...]) -> None:
        if event in {"subprocess.Popen", "os.fork", "os.posix_spawn"}:
            raise RuntimeError("a quick test starts no process")

    sys.addaudithook(refuse)


def tell_how_to_repeat(reporter: Any) -> None:
    """Print the command that runs each failed test again."""
    reports = [*reporter.stats.get("failed", ()), *reporter.stats.get("error", ())]
    names = dict.fromkeys(report.nodeid for report in reports)
    if names:
        reporter.section("to see it again", sep="-")
    for name in names:
        reporter.write_line(f"make test ARGS={_quoted(f'-n 0 {shlex.quote(name)}')}")


def _quoted(arguments: str) -> str:
    """Quote an argument so that a shell passes it to make, and make passes it on, unchanged."""
    has_special = any(mark in arguments for mark in '"$`\\!')
    return shlex.quote(arguments).replace("$", "$$") if has_special else f'"{arguments}"'


def _sampled(items: list[pytest.Item]) -> list[pytest.Item]:
    """All tests but those on the second database for which the same test on the first is enough."""
    names = {item.nodeid for item in items}
    kept, seen = [], set()
    for item in items:
        has_twin = SECOND in item.nodeid and item.nodeid.replace(SECOND, FIRST) in names
        if not has_twin or item.path not in seen or _is_wanted_on_both(item):
            kept.append(item)
        if has_twin:
            seen.add(item.path)
    return kept


def _is_wanted_on_both(item: pytest.Item) -> bool:
    room = item.path.relative_to(ROOT / "tests").parts[0]
    lists = item.path.stem.startswith("test_list")
    is_named = not ON_BOTH.isdisjoint({room, item.path.stem})
    return is_named or lists or _is_concurrent(item) or _is_drawn(item, SAMPLE)


def _is_concurrent(item: pytest.Item) -> bool:
    return getattr(item, "originalname", "") in _concurrent_functions(item.path)


@functools.cache
def _concurrent_functions(path: Path) -> frozenset[str]:
    """The functions of a module that use concurrency, directly or through other functions."""
    uses, found = dict[str, set[str]](), set(CONCURRENT)
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
            uses[node.name] = names | {each.arg for each in node.args.args}
        elif isinstance(node, ast.ImportFrom) and node.module in CONCURRENT:
            found |= {alias.asname or alias.name for alias in node.names}
    while more := {name for name, used in uses.items() if used & found} - found:
        found |= more
    return frozenset(found)


def _is_quick(item: pytest.Item) -> bool:
    """Whether a test starts no process, needs no server, and is in the sample."""
    starts = bool(SERVERS & _fixtures(item).keys() or STARTERS & _all_imports(item.path))
    starts |= any(CHOSEN in code.co_consts for code in _fixture_code(item))
    return not starts and SECOND not in item.nodeid and _is_drawn(item, QUICK)


def _is_drawn(item: pytest.Item, one_in: int) -> bool:
    """Whether a test is in the sample: the same tests in every run, on every machine."""
    return zlib.crc32(item.nodeid.encode()) % one_in == 0


def _group(item: pytest.Item) -> str:
    """The name of the group of tests that share fixtures with this one; empty if none."""
    shared = [name for name, scope in _fixtures(item).items() if scope in SHARED]
    if not shared:
        return ""
    callspec = getattr(item, "callspec", None)
    parameters = callspec.params if callspec else {}
    values = [f"{name}={parameters[name]}" for name in sorted(shared) if name in parameters]
    return " ".join((item.path.relative_to(ROOT).as_posix(), *values))


def _rank(item: pytest.Item) -> tuple[bool, bool]:
    """Sort key: slow tests come first, so that no test process ends with one alone."""
    starts = bool(STARTERS & _all_imports(item.path))
    return not _group(item), not starts


def _fixtures(item: pytest.Item) -> dict[str, str]:
    """The fixtures of a test, and the scope of each."""
    info = getattr(item, "_fixtureinfo", None)
    found = info.name2fixturedefs if info else {}
    return {name: definitions[-1].scope for name, definitions in found.items()}


def _fixture_code(item: pytest.Item) -> list[CodeType]:
    """The code of the fixtures of a test."""
    info = getattr(item, "_fixtureinfo", None)
    found = info.name2fixturedefs.values() if info else ()
    functions = (inspect.unwrap(definitions[-1].func) for definitions in found)
    return [function.__code__ for function in functions if inspect.isfunction(function)]


@functools.cache
def _all_imports(path: Path) -> frozenset[str]:
    """The names that a module imports, directly or through other test modules."""
    found, waiting = set[str](), [path]
    while waiting:
        imported = _imports(waiting.pop()) - found
        found |= imported
        waiting += [own for name in imported for own in _own(name)]
    return frozenset(found)


def _own(name: str) -> list[Path]:
    """The file of a test module; not `tests.conftest`, whose fixtures are examined instead."""
    path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    return (
        [path] if name.startswith("tests.") and name != "tests.conftest" and path.exists() else []
    )


@functools.cache
def _imports(path: Path) -> frozenset[str]:
    """The names that a module imports, each as a full name and as its top-level package."""
    names = set[str]()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names | {name.partition(".")[0] for name in names})
