"""Kills every command that changes a project, many times at random points.

``python -m tests.blueprints.kills TIMES [COMMANDS]``; each kill is told at once.
"""

import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest import mock

from backstay.blueprints.ejecting import eject, home_of
from backstay.blueprints.entities.adding import addition
from backstay.blueprints.entities.command_line import entity_of
from backstay.blueprints.entities.existing import Project
from backstay.blueprints.owning import eject_as_own
from backstay.blueprints.parts import adding
from backstay.blueprints.parts.adding import part_addition
from backstay.blueprints.parts.description import KINDS, part_of
from backstay.blueprints.project import ProjectOptions, render_project
from backstay.blueprints.tree import Plan
from tests.blueprints.killed import Trial, Victim
from tests.blueprints.projects import Shop


def empty(folder: Path) -> Path:
    root = folder / "empty"
    root.mkdir()
    return root


def project(folder: Path) -> Path:
    """A project with lines of a person."""
    options = ProjectOptions(name="shop")
    Plan.of(folder / "new", render_project(options), options.record).apply()
    shop = Shop(folder / "project", copied=folder / "new")
    shop.git("init", "--quiet")
    readme = shop.root / "README.md"
    readme.write_text(f"{readme.read_text('utf-8')}\nIt is mine.\n")
    (shop.root / "tests/test_mine.py").write_text("def test_mine() -> None:\n    assert True\n")
    shop.commit()
    return shop.root


def orders(folder: Path) -> Path:
    """The same with an entity."""
    shop = Shop(folder / "orders", copied=project(folder))
    order, _ = entity_of("Order", ["name:str:200", "amount:money=1"], owned=True)
    addition(Project.of(shop.root), [order], print).plan.apply()
    shop.commit()
    return shop.root


def parts(folder: Path) -> Path:
    """That with a part of each kind."""
    shop = Shop(folder / "parts", copied=orders(folder))
    with mock.patch.object(adding, "boot"):
        for kind, told in KINDS.items():
            part_addition(Project.of(shop.root), part_of(kind, told, "orders"), print).apply()
    shop.commit()
    return shop.root


def copies(folder: Path) -> Path:
    """The project with packaged features."""
    shop = Shop(folder / "copies", copied=project(folder))
    for feature in ("users", "mail"):
        eject(*home_of(shop.root), feature).plan.apply()
    eject_as_own(*home_of(shop.root), "items").plan.apply()
    shop.commit()
    return shop.root


class Command(NamedTuple):
    """What the project has before, and the calls."""

    begun: Callable[[Path], Path]
    calls: Sequence[Sequence[str]]


COMMANDS = {
    "new": Command(empty, [("new", "shop"), ("new", "shop", "--bare")]),
    "add": Command(orders, [("add", "Rig", "name:str:200!", "depth:float?", "--owned")]),
    "add again": Command(orders, [("add", "Order", "note:text?", "--soft-delete")]),
    "add part": Command(
        orders, [("add", kind, told, "--to", "orders") for kind, told in KINDS.items()]
    ),
    "remove": Command(orders, [("remove", "Order")]),
    "remove part": Command(
        parts, [("remove", kind, told.partition(":")[0]) for kind, told in KINDS.items()]
    ),
    "eject": Command(project, [("eject", each) for each in ("users", "mail", "auth")]),
    "eject as own": Command(project, [("eject", "items", "--as-own")]),
    "uneject": Command(copies, [("uneject", each) for each in ("items", "users", "mail")]),
}


def trials(name: str, folder: Path, *, most: int | None = None) -> Iterator[Trial]:
    """A trial for each call of a command, or for the first ones; each project is made once."""
    begun, calls = COMMANDS[name]
    root = begun(folder)
    for number, call in enumerate(calls[:most]):
        (folder / str(number)).mkdir()
        yield Trial.of(partial(_victim, root), call, folder / str(number))


def _victim(root: Path, target: Path) -> Victim:
    return Victim(target, copied=root)


def _kill(name: str, folder: Path, times: int) -> Iterator[str]:
    """How each kill ended."""
    count = len(COMMANDS[name].calls)
    for number, trial in enumerate(trials(name, folder)):
        if number == 0:
            trial.require_boot()
        for turn, seed in enumerate(range(number, times, count)):
            try:
                found = trial.kill(
                    folder / f"{number}-{turn}", seed, timed=turn % 3 == 2, briefly=turn > 3
                )
            except Exception:
                traceback.print_exc()
                found = "FAILED"
            print(*trial.call, f"{turn + 1}:", found, flush=True)
            yield found


def main(times: int, names: Sequence[str]) -> int:
    """Whether anything failed, as an exit code."""
    failed = 0
    for name in names:
        with TemporaryDirectory(prefix="kills-") as made:
            found = Counter(_kill(name, Path(made), times))
        print(f"== {name}: {dict(found)}", flush=True)
        failed += found["FAILED"]
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:] or list(COMMANDS)))
