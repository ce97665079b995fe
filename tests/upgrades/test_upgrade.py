"""Shows that a project gets through invented releases with every line of its person.

Three releases and one project here; ``make upgrades`` takes ten releases and three projects.
"""

import os
import re
from pathlib import Path

import pytest

from backstay import __version__
from tests.upgrades.grown import EJECTED, OWN, QUERIES, Grown, grown
from tests.upgrades.invented import Releases

COUNT = int(os.environ.get("UPGRADES", "3"))
"""How many releases a project goes through."""
PROJECTS: list[tuple[str, ...]] = [(), ("--bare",), ("--without", "mail,tasks")]
"""The options of `new` for each project."""


@pytest.mark.parametrize("options", PROJECTS if COUNT > 3 else PROJECTS[:1])
def test_a_project_gets_through_all_releases(options: tuple[str, ...], tmp_path: Path) -> None:
    releases = Releases(tmp_path / "releases")
    shop = grown(tmp_path / "project", releases.wheels[__version__], *options)
    written = shop.lines()
    assert {"README.md", "pyproject.toml", str(OWN), str(QUERIES), str(EJECTED)} <= set(written)
    for number in range(1, COUNT):
        new = releases.release()
        done = shop.upgrade(releases.wheels[new])
        assert "Its tests pass" in done.output
        assert f"`{releases.name}` is what it is called now" in done.output
        assert _conflicts(done.output) == []
        assert shop.installed() == new
        assert f"backstay~={new}" in shop.text("pyproject.toml")
        for path in (QUERIES, EJECTED):
            assert f"# counted safely: {number}\n" in shop.text(path)
        _require_kept(shop, written, releases.name)
        shop.commit()
    assert "nothing to do" in shop.upgrade(releases.wheels[releases.newest]).output
    _refuse_red_tests(shop, releases)
    _settle_a_conflict(shop, releases)
    _require_kept(shop, written, releases.name)
    _refuse_a_clash(shop, releases)


def _require_kept(shop: Grown, written: dict[str, list[str]], name: str) -> None:
    """Every line of the person is there, with the name of today, in the same order."""
    for path, lines in written.items():
        rest = iter(shop.text(path).splitlines())
        for line in lines:
            assert line.replace("TagContext", name) in rest, f"{path}: {line}"


def _conflicts(output: str) -> list[str]:
    """The files that cannot be merged, as the command reports them."""
    return re.findall(r"^conflict +(\S+)", output, re.MULTILINE)


def _refuse_red_tests(shop: Grown, releases: Releases) -> None:
    """Tests that fail with the new release leave the tree as it was."""
    test = shop.root / "tests" / "test_release.py"
    text = "import backstay\n\n\ndef test_release() -> None:\n    assert backstay.__version__ == "
    test.write_text(f'{text}"{releases.newest}"\n', "utf-8")
    assert "Not committed: tests/test_release.py." in shop.call("upgrade", code=1).errors
    shop.commit()
    done = shop.upgrade(releases.wheels[releases.release()], code=1)
    assert "1 failed" in done.errors
    assert "--skip-tests" in done.errors
    assert shop.git("status", "--porcelain") == ""
    assert shop.installed() == list(releases.wheels)[-2]
    test.unlink()
    shop.commit()


def _settle_a_conflict(shop: Grown, releases: Releases) -> None:
    """What both changed is marked beside the file, which goes on working."""
    count = len(releases.wheels) - 2
    shop.replace(QUERIES, f"# counted safely: {count}\n", "# counted by us\n")
    shop.commit()
    new = releases.newest
    before = shop.git("status", "--porcelain")
    shown = shop.upgrade(releases.wheels[new], "--check", "--skip-tests", code=1)
    assert f"+# counted safely: {count + 1}" in shown.output
    assert shop.git("status", "--porcelain") == before
    done = shop.upgrade(releases.wheels[new], code=1)
    assert _conflicts(done.output) == [str(QUERIES)]
    marked = shop.root / f"{QUERIES}.conflict"
    assert "<<<<<<< yours\n# counted by us\n" in marked.read_text("utf-8")
    assert releases.name in shop.text(QUERIES)
    assert "# counted by us\n" in shop.text(QUERIES)
    assert f"# counted safely: {count + 1}\n" in shop.text(EJECTED)
    told = shop.call("doctor", code=1).output
    assert f"{QUERIES}.conflict has conflicts" in told
    marked.unlink()
    shop.commit()


def _refuse_a_clash(shop: Grown, releases: Releases) -> None:
    """A packaged feature with a name of the project is told before anything is installed."""
    old = releases.newest
    new = releases.release(clash="rigs")
    done = shop.upgrade(releases.wheels[new], code=1)
    assert "does not start with Backstay" in done.errors
    assert "Another feature is called rigs, at backstay/features/rigs/" in done.errors
    assert shop.git("status", "--porcelain") == ""
    assert shop.installed() == old
