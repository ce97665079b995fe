"""A project that `new` and `add` wrote, with changes of a person in it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from backstay.testing.waiting import LIMIT
from tests.cli.process import SOURCE, Result, run
from tests.upgrades.environments import ALONE, Environment, environment

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
    """The project, and the environment in its `.venv`."""

    root: Path
    environment: Environment

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

    def call(self, *arguments: str, code: int = 0) -> Result:
        """What a command says that ends with this code."""
        done = self.environment.call(self.root, *arguments)
        assert done.code == code, done.output + done.errors
        return done

    def upgrade(self, wheel: Path, *arguments: str, code: int = 0) -> Result:
        """What `upgrade` to a wheel says."""
        return self.call("upgrade", "--to", str(wheel), *arguments, code=code)

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
    folder.mkdir()
    made = run(folder, "new", "shop", *options, **{**ALONE, "PYTHONPATH": str(SOURCE)})
    assert made.code == 0, made.errors
    root = folder / "shop"
    more = ("pip", "libcst")
    found = Grown(root, environment(root / ".venv", wheel, "testing", more))
    found.commit()
    found.call("add", *_ENTITY)
    found.commit()
    found.call("eject", "items")
    found.commit()
    found.git("tag", "generated")
    (root / OWN).write_text(_OWN, "utf-8")
    for path in (QUERIES, EJECTED):
        (root / path).write_text(found.text(path) + _ADDED, "utf-8")
    found.replace("README.md", "# Shop\n", "# Shop of ropes\n\nOurs is the best.\n")
    found.replace("pyproject.toml", 'version = "0.1.0"\n', 'version = "7.0.0"  # lucky\n')
    found.commit()
    return found
