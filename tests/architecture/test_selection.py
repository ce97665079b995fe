"""Shows by which rules tests are left out, and that the printed command repeats a failed one."""

import os
import subprocess
from pathlib import Path
from typing import ClassVar

import pytest

from tests import selection

MODULE = """
import asyncio
import time
from anyio import create_task_group as group

async def both(client):
    await asyncio.gather(client.get("/"), client.get("/"))

async def test_directly(): await asyncio.gather()
async def test_under_another_name():
    async with group(): ...
async def test_through_a_function(client): await both(client)
async def test_through_a_fixture(both): ...
async def test_one_after_another(client):
    await client.get("/")
    time.sleep(0)
"""


def test_concurrent_tests_are_recognised_by_what_they_use(tmp_path: Path) -> None:
    path = tmp_path / "test_module.py"
    path.write_text(MODULE)
    found = {name for name in selection._concurrent_functions(path) if name.startswith("test")}
    assert found == {
        "test_directly",
        "test_under_another_name",
        "test_through_a_function",
        "test_through_a_fixture",
    }


@pytest.mark.parametrize(
    ("module", "starts"),
    [
        ("cli/test_serve", True),
        ("faults/test_channel", True),
        ("browser/test_walking", True),
        ("core/test_rates", False),
    ],
)
def test_tests_that_start_processes_are_recognised_by_their_imports(
    module: str, starts: bool
) -> None:
    imported = selection._all_imports(selection.ROOT / f"tests/{module}.py")
    assert bool(imported & selection.STARTERS) is starts


NAMES = ["a.py::test_b[x y]", """a.py::test_b['$HOME `x`\\"!]""", "a.py::test_b[{a: *}]"]


@pytest.mark.parametrize("name", NAMES)
def test_the_printed_command_passes_shell_and_make_unchanged(tmp_path: Path, name: str) -> None:
    (tmp_path / "Makefile").write_text("test:\n\t@printf '%s\\n' $(ARGS)\n")
    lines: list[str] = []

    class Reporter:
        """What pytest prints through."""

        stats: ClassVar = {
            "failed": [pytest.TestReport(name, ("", 0, ""), {}, "failed", None, "call")]
        }

        def section(self, *_: object, **__: object) -> None: ...
        def write_line(self, line: str) -> None:
            lines.append(line)

    selection.tell_how_to_repeat(Reporter())
    done = subprocess.run(
        ["bash", "-c", lines[0]],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},  # a run of tests may have been started by make itself
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["-n", "0", name], done.stderr
