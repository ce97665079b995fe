"""A project that `new` and `add` wrote, with changes of a person in it."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from backstay.testing.waiting import LIMIT
from tests.cli.process import SOURCE, Result, run
from tests.upgrades.environments import ALONE, LINKS, Environment, environment

QUERIES = Path("src/shop/features/rigs/queries.py")
EJECTED = Path("src/shop/ejected/backstay/features/items/queries.py")
OWN = Path("src/shop/labels.py")
_OWN = '''"""Labels of the shop, in nobody's feature."""

from backstay import TagContext


def label_of(context: TagContext) -> str:
    """What is printed."""
    return f"label of {context!r}"  # as the printer wants it
'''
_ADDED = '''

def described(context: TagContext) -> str:
    """Written by hand."""
    return f"{context!r}"
'''
_ENTITY = ("Rig", "name:str:200!", "depth:float?", "--owned")


@dataclass(frozen=True)
class Grown:
    """The project, and the environment in its `.venv`.

    Attributes:
        root: its folder.
        environment: that of its `.venv`.
        written: by file: the lines that the person wrote, those of each place together.
        removed: by file: lines that the person removed.
    """

    root: Path
    environment: Environment
    written: dict[str, list[list[str]]] = field(default_factory=dict)
    removed: dict[str, set[str]] = field(default_factory=dict)

    def git(self, *arguments: str) -> str:
        """What git says."""
        identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
        done = subprocess.run(
            ["git", *identity, *arguments],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self) -> None:
        """Commit everything."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "More")

    def remember(self) -> None:
        """Commit what the person changed, and keep in mind which lines these are."""
        self.git("add", "--all")
        path = ""
        for line in self.git("diff", "--cached", "--unified=0", "--no-renames").splitlines():
            if line.startswith("--- a/"):
                path = line.removeprefix("--- a/")
            elif line.startswith("+++ b/"):
                path = line.removeprefix("+++ b/")
            elif line.startswith("+++ "):
                pass  # the file is deleted
            elif line.startswith("@@"):
                self.written.setdefault(path, []).append([])
            elif line.startswith("+"):
                self.written[path][-1].append(line[1:])
            elif line.startswith("-") and not line.startswith("---"):
                self._forget(path, line[1:])
        self.git("commit", "--quiet", "--allow-empty", "-m", "By hand")

    def _forget(self, path: str, line: str) -> None:
        for lines in self.written[path]:
            if line in lines:
                lines.remove(line)
                break
        file = self.root / path
        if len(line.strip()) > 12 and (not file.exists() or line not in self.text(path)):
            self.removed.setdefault(path, set()).add(line)

    def require_kept(self, now: Callable[[str], str]) -> int:
        """Every line of the person is there, in the order of its place, and none that was removed.

        Args:
            now: takes a line; returns it with the names of today.

        Returns:
            how many lines these are.
        """
        count = 0
        for path, places in self.written.items():
            lines = self.text(path).splitlines() if (self.root / path).exists() else []
            for place in places:
                rest = iter(lines)
                for line in place:
                    assert now(line) in rest, f"{path}: {line}"
                    count += 1
            back = {now(line) for line in self.removed.get(path, ())}.intersection(lines)
            assert back == set(), path
        return count

    def call(self, *arguments: str, code: int = 0) -> Result:
        """What a command says that ends with this code."""
        done = self.environment.call(self.root, *arguments)
        assert done.code == code, done.output + done.errors
        return done

    def upgrade(self, wheel: Path, *arguments: str, code: int = 0) -> Result:
        """What `upgrade` to a wheel says, with the folder of what releases require."""
        links = ("--find-links", str(wheel.parents[1] / LINKS))
        return self.call("upgrade", "--to", str(wheel), *links, *arguments, code=code)

    def installed(self) -> str:
        """The release in the environment."""
        return self.call("--version").output.split()[-1]

    def lines(self) -> dict[str, list[str]]:
        """The lines that the person wrote or changed, by file."""
        diff = self.git("diff", "--unified=0", "generated", "--", ".", ":!.blueprints")
        found: dict[str, list[str]] = {}
        path = ""
        for line in diff.splitlines():
            if line.startswith("+++ b/"):
                path = line.removeprefix("+++ b/")
            elif line.startswith("+"):
                found.setdefault(path, []).append(line[1:])
        return found

    def text(self, path: str | Path) -> str:
        """The text of a file."""
        return (self.root / path).read_text("utf-8")

    def replace(self, path: str | Path, old: str, new: str) -> None:
        """Change a file by hand."""
        text = self.text(path)
        assert text.count(old) == 1, f"{path} has {old!r} {text.count(old)} times"
        (self.root / path).write_text(text.replace(old, new), "utf-8")


def grown(folder: Path, wheel: Path, *options: str) -> Grown:
    """A project with an entity and an ejected feature, committed; then changed by hand, committed.

    The options are those of `new`.
    """
    found = begun(folder, wheel, "shop", *options)
    found.call("add", *_ENTITY)
    found.commit()
    found.call("eject", "items")
    found.commit()
    found.git("tag", "generated")
    (found.root / OWN).write_text(_OWN, "utf-8")
    for path in (QUERIES, EJECTED):
        (found.root / path).write_text(found.text(path) + _ADDED, "utf-8")
    found.replace("README.md", "# Shop\n", "# Shop of ropes\n\nOurs is the best.\n")
    found.replace("pyproject.toml", 'version = "0.1.0"\n', 'version = "7.0.0"  # lucky\n')
    found.commit()
    return found


def begun(folder: Path, wheel: Path, name: str, *options: str) -> Grown:
    """A new project, committed, with its environment."""
    folder.mkdir()
    made = run(folder, "new", name, *options, **{**ALONE, "PYTHONPATH": str(SOURCE)})
    assert made.code == 0, made.errors
    root = folder / name
    more = ("pip", "libcst")
    found = Grown(root, environment(root / ".venv", wheel, "testing", more))
    found.commit()
    return found
