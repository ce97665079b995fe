"""Shows that projects get through invented releases with every line of their persons.

One project and two releases, which change all that ten change, are taken here; ``make upgrades``
takes three projects through ten releases.
"""

import os
import re
import resource
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from backstay import __version__
from tests.upgrades.depot_story import DEPOT
from tests.upgrades.grown import Grown, begun
from tests.upgrades.invented import Releases
from tests.upgrades.inventions import RELEASES
from tests.upgrades.ledger_story import LEDGER
from tests.upgrades.shop_story import SHOP
from tests.upgrades.story import Deed, Story

COUNT = int(os.environ.get("UPGRADES", "2"))
"""How many releases a project goes through; if they are less than ten, each changes more."""
TOLD = [SHOP, LEDGER, DEPOT] if "UPGRADES" in os.environ else [DEPOT]


@pytest.mark.parametrize("story", TOLD, ids=lambda story: story.name)
def test_a_project_gets_through_all_releases(story: Story, tmp_path: Path) -> None:
    releases = Releases(tmp_path / "releases")
    project = begun(tmp_path / "project", releases.wheels[__version__], story.name, *story.options)
    story.begin(project)
    story.edit(project)
    project.remember()
    for numbers in _together(COUNT):
        _upgrade(project, releases, story, numbers)
    assert "nothing to do" in project.upgrade(releases.wheels[releases.newest]).output
    assert "Applied platform_" in project.call("db", "upgrade").output
    assert "The database is current." in project.call("db", "check").output


def _together(count: int) -> Sequence[range]:
    """The numbers of the invented releases that make up each of so many releases."""
    ends = [len(RELEASES) * number // count for number in range(count + 1)]
    return [range(start + 1, end + 1) for start, end in pairwise(ends)]


def _upgrade(project: Grown, releases: Releases, story: Story, numbers: range) -> None:
    """One upgrade, what the person makes of its conflicts, and what she does next."""
    inventions = [each for number in numbers for each in RELEASES[number - 1]]
    new = releases.release(*inventions)
    settled = {
        path: deed for number in numbers for path, deed in story.settle.get(number, {}).items()
    }
    is_last = len(RELEASES) in numbers
    if is_last:
        project.environment.install(releases.wheels[new])
        assert _unfixed(project) != []
    start, used = time.monotonic(), _processor_seconds()
    done = project.upgrade(releases.wheels[new], code=1 if settled else 0)
    took, used = time.monotonic() - start, _processor_seconds() - used
    assert conflicts(done.output) == sorted(settled), done.output + done.errors
    assert ("Its tests pass" in done.output) == (not settled)
    assert f"`{releases.name}` is what it is called now" in done.output
    assert project.installed() == new
    assert f"backstay~={new}" in project.text("pyproject.toml")
    assert not is_last or _unfixed(project) == []
    kept = project.require_kept(releases.now)
    project.commit()
    if settled:
        _settle(project, settled)
    told = f"{story.name}: {new} in {took:.1f} s ({used:.1f} s of a processor)"
    print(f"{told}, {kept} lines kept, {len(settled)} conflicts")
    project.remember()
    for number in numbers:
        for deed in story.between.get(number, ()):
            deed(project)
    project.remember()


def _settle(project: Grown, settled: Mapping[str, Deed]) -> None:
    for path, deed in settled.items():
        (project.root / f"{path}.conflict").unlink()
        deed(project)
    done = project.environment.execute(project.root, "-m", "pytest", "-q")
    assert done.code == 0, done.output + done.errors


def _processor_seconds() -> float:
    """What ended processes, of which the command is one, have used so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _unfixed(project: Grown) -> list[str]:
    """The files that lack a security fix of the installed release, as `doctor` tells them."""
    told = project.environment.call(project.root, "doctor").output
    return re.findall(r"^ .* security-fixes +(\S+) lacks a security fix", told, re.MULTILINE)


def conflicts(output: str) -> list[str]:
    """The files that cannot be merged, as the command reports them."""
    return re.findall(r"^conflict +(\S+)", output, re.MULTILINE)
