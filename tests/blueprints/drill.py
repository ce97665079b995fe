"""Adds and removes everything that commands add to a project, one after the other.

``python -m tests.blueprints.drill [NAMES]``. With each one types (mypy and pyright, strict), lint
rules, import contracts, start and tests hold; without it again, the project is as before.
"""

import ast
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from backstay.blueprints.parts.description import KINDS
from backstay.blueprints.project import ProjectOptions, render_project
from backstay.blueprints.tree import Plan
from tests.blueprints.copies import ALL
from tests.blueprints.projects import Shop

BIN = Path(sys.executable).parent
Calls = Sequence[str]
"""Commands, each as one text."""


def _ejected(*features: str, option: str = "") -> tuple[Calls, Calls]:
    return (
        [f"eject {each} {option}" for each in features],
        [f"uneject {each}" for each in reversed(features)],
    )


def _part(kind: str, told: str) -> tuple[Calls, Calls]:
    return [f"add {kind} {told} --to orders"], [f"remove {kind} {told.partition(':')[0]}"]


USES = {
    **{each: _ejected(each) for each in ALL},
    "items as own": _ejected("items", option="--as-own"),
    "all": _ejected(*ALL),
    **{kind: _part(kind, told) for kind, told in KINDS.items()},
    "entity": (["add Rig name:str:200! depth:float?"], ["remove Rig"]),
    "entity with all": (
        [
            "add Sale title:str:80 status:draft,placed,paid price:money order:ref(Order)? --owned "
            "--soft-delete --children lines:article:str,quantity:int --transitions place,pay"
        ],
        ["remove Sale"],
    ),
}
"""By name: what adds something, and what removes it."""


def project(folder: Path) -> Shop:
    """A project as `new` writes it, with an entity."""
    options = ProjectOptions(name="shop")
    Plan.of(folder / "shop", render_project(options), options.record).apply()
    shop = Shop(folder / "project", copied=folder / "shop")
    shop.git("init", "--quiet")
    shop.commit()
    shop.backstay("add", "Order", "name:str:200", "amount:money=1", "--owned", "--soft-delete")
    shop.commit()
    return shop


def checks(shop: Shop, *, types: bool) -> dict[str, Callable[[], str]]:
    """By name: what must not fail."""
    contracts = f"PYTHONPATH=src:$PYTHONPATH {BIN}/lint-imports --no-logo --no-cache"
    found: dict[str, Callable[[], str]] = {
        "format": lambda: shop.python("ruff", "format", "--no-cache", "--check", "."),
        "lint": lambda: shop.python("ruff", "check", "--no-cache", "."),
        "contracts": lambda: shop.shell(contracts),
        "boot": lambda: shop.backstay("routes"),
        "tests": lambda: shop.python("pytest", "-q", "-n0", "-p", "no:cacheprovider"),
    }
    if types:
        found["mypy"] = shop.mypy
        found["pyright"] = lambda: shop.python("pyright", f"--pythonpath={sys.executable}")
    return found


def meaning(shop: Shop) -> dict[str, str]:
    """What every file says but migrations, whatever the layout of code."""
    texts = {path.removeprefix(f"{shop.root}/"): text for path, text in shop.files().items()}
    return {
        path: ast.dump(ast.parse(text)) if path.endswith(".py") else text
        for path, text in texts.items()
        if "/migrations/" not in path
    }


def drill(shop: Shop, name: str) -> None:
    """Add and remove something in a project.

    Raises:
        AssertionError: a command or a check fails, or something is left.
    """
    before = meaning(shop)
    there, back = USES[name]
    for calls, types in ((there, True), (back, False)):
        for call in calls:
            shop.backstay(*call.split())
            shop.commit()
        for check, run in checks(shop, types=types).items():
            begun = time.monotonic()
            run()
            print(f"{name}: {check} {time.monotonic() - begun:.0f} s", flush=True)
    after = meaning(shop)
    assert sorted(after) == sorted(before)
    assert [path for path in before if after[path] != before[path]] == []
    shop.backstay("db", "upgrade")
    assert "The database is current." in shop.backstay("db", "check")


def _failures(shop: Shop, names: Sequence[str]) -> Iterator[str]:
    shop.git("tag", "before")
    for name in names:
        try:
            drill(shop, name)
        except AssertionError:
            traceback.print_exc()
            yield name
        shop.git("reset", "--quiet", "--hard", "before")
        shop.shell("rm -f *.db*")


def main(names: Sequence[str]) -> int:
    """Whether anything failed, as an exit code."""
    with TemporaryDirectory() as folder:
        failed = list(_failures(project(Path(folder)), names))
    print(f"{len(names) - len(failed)} are well, failed: {failed}")
    return int(failed != [])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(USES)))
