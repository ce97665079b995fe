"""Shows that a project which owns all of Backstay works, and is upgraded by merge.

One project through one release here; ``make upgrades`` takes it through ten, and runs its
``make check``.
"""

import os
import re
import subprocess
from pathlib import Path

from backstay import __version__
from backstay.testing.waiting import LIMIT
from tests.cli.process import environ
from tests.upgrades.environments import ALONE
from tests.upgrades.grown import Grown
from tests.upgrades.invented import Releases
from tests.upgrades.owned import CORE, FEATURE, MODEL, NEW, OFFLINE, OLD, TEMPLATE, owned

COUNT = int(os.environ.get("UPGRADES", "2"))
"""How many releases the project goes through; the first is the one that it was made from."""
_NEEDS = '    "zxcvbn>=4.5",'


def test_a_project_that_owns_backstay_gets_through_releases(tmp_path: Path) -> None:
    releases = Releases(tmp_path / "releases")
    shop = owned(tmp_path / "project", releases.wheels[__version__])
    _refuse_what_owners_do_not_need(shop)
    if COUNT > 2:
        _require_checked(shop)
    written = shop.lines()
    assert {str(path) for path in (CORE, FEATURE, MODEL, OLD, TEMPLATE)} <= set(written)
    for number in range(1, COUNT):
        new = _release(releases, number)
        told = _upgraded(shop, releases.wheels[new])
        assert "Its tests pass" in told
        assert _conflicts(told) == []
        assert shop.installed() == new
        _require_kept(shop, written, releases.name)
        shop.commit()
    assert '"idna>=3",' in shop.text("pyproject.toml")
    assert "idna>=3" in shop.environment.execute(shop.root, "-c", _REQUIRES).output
    _settle_a_conflict(shop, releases)
    _require_kept(shop, written, releases.name)


_REQUIRES = "from importlib.metadata import requires; print(requires('shop'))"


def _release(releases: Releases, number: int) -> str:
    """Invent a release; the first one also requires something more, and renames a file."""
    if number == 1:
        declared = releases.source / "pyproject.toml"
        text = declared.read_text("utf-8").replace(_NEEDS, f'    "idna>=3",\n{_NEEDS}')
        declared.write_text(text, "utf-8")
        (releases.source / OLD).rename(releases.source / NEW)
        for path in (releases.package / "redis").glob("*.py"):
            text = path.read_text("utf-8")
            path.write_text(text.replace("backstay.redis.errors", "backstay.redis.failures"))
    return releases.release()


def _upgraded(shop: Grown, wheel: Path, code: int = 0) -> str:
    """What `upgrade` says, without a network."""
    done = shop.environment.call(shop.root, "upgrade", "--to", str(wheel), **OFFLINE)
    assert done.code == code, done.output + done.errors
    return done.output


def _conflicts(output: str) -> list[str]:
    return re.findall(r"^conflict +(\S+)", output, re.MULTILINE)


def _require_kept(shop: Grown, written: dict[str, list[str]], name: str) -> None:
    """Every line of the person is there, with the name of today, in the same order."""
    for path, lines in written.items():
        rest = iter(shop.text(NEW if path == OLD else path).splitlines())
        for line in lines:
            assert line.replace("TagContext", name) in rest, f"{path}: {line}"


def _refuse_what_owners_do_not_need(shop: Grown) -> None:
    """Nothing is left to eject; a part of Backstay is compared with what it was."""
    told = shop.call("eject", "users", code=2).errors
    assert "change src/backstay/features/users" in told
    users = shop.call("diff", "users").output
    assert "+    nickname: Mapped[str | None]\n" in users
    assert "rope" not in users
    assert "+<p>Made of rope.</p>\n" in shop.call("diff").output
    assert "the project changed 5 files of it" in shop.call("doctor", code=1).output
    told = shop.call("new", "other", "--own", code=1).errors
    assert "All of Backstay is written from an installed release" in told


def _require_checked(shop: Grown) -> None:
    (shop.root / ".venv" / ".installed").touch()
    done = subprocess.run(
        ["make", "check"],
        cwd=shop.root,
        env=environ(**ALONE),
        capture_output=True,
        text=True,
        timeout=10 * LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _settle_a_conflict(shop: Grown, releases: Releases) -> None:
    """Of a file with a conflict, only the lines that both changed stay as they were."""
    count = len(releases.wheels) - 1
    shop.replace(FEATURE, f"# counted safely: {count}\n", "# counted by us\n")
    shop.commit()
    new = releases.release()
    told = _upgraded(shop, releases.wheels[new], code=1)
    assert _conflicts(told) == [str(FEATURE)]
    marked = shop.text(f"{FEATURE}.conflict")
    assert "<<<<<<< yours\n# counted by us\n" in marked
    assert f"# counted safely: {count + 1}\n" in marked
    text = shop.text(FEATURE)
    assert "# counted by us\n" in text
    assert f"def _shown(context: {releases.name})" in text
    assert shop.installed() == new
    assert "has conflicts of an earlier command" in shop.call("doctor", code=1).output
    (shop.root / f"{FEATURE}.conflict").unlink()
    shop.commit()
    shop.call("db", "upgrade")
