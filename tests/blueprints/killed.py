"""Kills commands that change a project, and looks at what they leave of it."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backstay.blueprints.journal import finish, undo, unfinished
from backstay.testing.waiting import LIMIT
from tests import warm
from tests.architecture.tree import ROOT
from tests.blueprints.projects import Shop

_NOT_KEPT = {".git", "__pycache__", ".backstay", "journal", "journal.draft"}
_PERSON = {
    f"GIT_{who}_{what}": "ann@example.org"
    for who in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}
State = dict[str, tuple[bytes, int]]


class Victim(Shop):
    """A project, or the empty folder of one, with a place for temporary files beside it."""

    def __init__(self, root: Path, *, copied: Path) -> None:
        super().__init__(root, copied=copied)
        self.temporary = root.with_name(f"{root.name}.tmp")
        self.temporary.mkdir()

    @property
    def environ(self) -> dict[str, str]:
        """The variables of its processes."""
        paths = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
        kept = {name: os.environ[name] for name in ("PATH",)}
        mine = {"TMPDIR": str(self.temporary), "HOME": str(self.root), "PYTHONPATH": paths}
        return kept | _PERSON | mine

    def call(self, *arguments: str, code: int = 0) -> str:
        """What a command says that ends with this code."""
        return self.backstay(*arguments, code=code, **self.environ)

    def die(self, call: Sequence[str], at: int) -> int:
        """How the command ends that is killed before an operation; -1 for none."""
        command = ("tests.blueprints.dying", str(self.root), str(at), *call)
        done = warm.run(command, self.root, self.environ, seconds=LIMIT)
        assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
        return done.returncode

    def die_after(self, call: Sequence[str], seconds: float) -> None:
        """Kill the command, and what it has started, after a time."""
        process = subprocess.Popen(
            [sys.executable, "-m", "backstay", *call],
            cwd=self.root,
            env=self.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(LIMIT)

    def state(self) -> State:
        """Every file of the person, and everything that is kept of blueprints; with its mode."""
        return {
            str(path.relative_to(self.root)): (path.read_bytes(), path.stat().st_mode)
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and not _NOT_KEPT.intersection(path.relative_to(self.root).parts)
        }

    def held(self) -> dict[str, bytes]:
        """What git has noted: the index, what is committed and locks."""
        names = (self.root / ".git").glob("*")
        return {path.name: path.read_bytes() for path in names if path.is_file()}

    def copies(self) -> list[Path]:
        """The copies of the project that its commands made and left."""
        return list(self.temporary.iterdir())

    def remove(self) -> None:
        """Remove it, with everything beside it."""
        shutil.rmtree(self.root)
        shutil.rmtree(self.temporary)


@dataclass(frozen=True)
class Trial:
    """A command in a project, and what the project is before and after it.

    Attributes:
        begun: makes a project for it, at a path.
        call: the arguments of the command.
        operations: how many it does.
        seconds: how long it takes.
        whole: the project after it.
    """

    begun: Callable[[Path], Victim]
    call: Sequence[str]
    before: State
    after: State
    operations: int
    seconds: float
    whole: Victim

    def require_boot(self) -> None:
        """The application starts after the command."""
        root = _project(self.whole)
        assert "/api/v1/" in Shop(root.with_name(f"{root.name}.booted"), copied=root).backstay(
            "routes"
        )

    @classmethod
    def of(cls, begun: Callable[[Path], Victim], call: Sequence[str], folder: Path) -> "Trial":
        """Run the command to its end once."""
        victim, started = begun(folder / "whole"), time.monotonic()
        before = victim.state()
        assert victim.die(call, -1) == 0
        seconds = time.monotonic() - started
        after = victim.state()
        assert after != before
        assert victim.copies() == []
        operations = int((folder / "whole.count").read_text())
        return cls(begun, call, before, after, operations, seconds, victim)

    def kill(self, target: Path, seed: int, *, timed: bool, briefly: bool = False) -> str:
        """Kill the command, and look at what there is; what the project was then.

        Args:
            target: where the project is made.
            seed: of the point at which it is killed.
            timed: whether that is a time, after which everything that it started is killed, too.
            briefly: whether the journal is settled without the commands, and none is run again.
        """
        victim, chance = self.begun(target), random.Random(seed)
        held = victim.held()
        if timed:
            victim.die_after(self.call, chance.uniform(0, self.seconds))
        else:
            assert victim.die(self.call, chance.randrange(self.operations)) != 0
        assert len(victim.copies()) <= 1
        assert victim.held() == held
        if self.call[0] == "new":
            found = self._anew(victim)
        else:
            found = self._recovered(victim, briefly=briefly)
        victim.remove()
        return found

    def _recovered(self, victim: Victim, *, briefly: bool) -> str:
        found = victim.state()
        if unfinished(victim.root):
            (self._settled_briefly if briefly else self._settled)(victim)
            return "between"
        if found == self.before and not briefly:
            assert "Run next" in victim.call(*self.call)  # as if nothing had been
            found = victim.state()
            assert victim.copies() == []
            self._is(found, self.after)
            return "before"
        if found != self.before:
            self._is(found, self.after)
        return "before" if found == self.before else "after"

    def _settled_briefly(self, victim: Victim) -> None:
        copy = victim.root.with_name(f"{victim.root.name}-copy")
        shutil.copytree(victim.root, copy)
        assert finish(victim.root) == ()
        self._is(victim.state(), self.after)
        shutil.rmtree(victim.root)
        copy.rename(victim.root)
        assert undo(victim.root) == ()
        self._is(victim.state(), self.before)

    def _settled(self, victim: Victim) -> None:
        """Both ways out of what was interrupted get there."""
        refused = victim.call(*self.call, code=1)
        assert "An earlier command was interrupted" in refused
        for option, end in (("--continue", self.after), ("--abort", self.before)):
            target = victim.root.with_name(f"{victim.root.name}{option}")
            copy = Victim(target, copied=victim.root)
            copy.call(self.call[0], option)
            self._is(copy.state(), end)
            assert list((target / ".blueprints").glob("journal*")) == []
            assert (copy.git("status", "--porcelain") == "") == (end == self.before)
            copy.remove()

    def _anew(self, victim: Victim) -> str:
        """`new` is called again, unless it was done."""
        root = victim.root / "shop"
        git = root / ".git"
        if (git / "refs/heads/main").exists():
            found = "after"
        else:
            found = "between" if root.exists() and any(root.iterdir()) else "before"
            told = victim.call(*self.call)
            if (git / "index.lock").exists():
                assert "index.lock" in told
                (git / "index.lock").unlink()
                told = victim.call(*self.call)
            assert 'Committed as "Begin shop on Backstay".' in told
        self._is(victim.state(), self.after)
        status = ["git", "status", "--porcelain"]
        assert subprocess.check_output(status, cwd=root) == b""
        return found

    def _is(self, found: State, wanted: State) -> None:
        paths = sorted(found.keys() | wanted.keys())
        assert [path for path in paths if found.get(path) != wanted.get(path)] == []


def _project(victim: Victim) -> Path:
    return victim.root / "shop" if (victim.root / "shop").exists() else victim.root
