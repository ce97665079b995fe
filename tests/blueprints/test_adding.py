"""`backstay add` and `backstay remove` in a project, and what they refuse."""

import shutil
from pathlib import Path

import pytest

from tests.blueprints.projects import Shop

MODEL = "src/shop/features/rigs/model.py"


@pytest.fixture(scope="module")
def rigs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with rigs and their database, which every test copies."""
    shop = Shop(tmp_path_factory.mktemp("rigs") / "shop")
    told = add(shop, "Rig", "name:str:200!")
    assert "backstay db upgrade  # applies src/shop/migrations/0001_add_rigs.py" in told
    shop.backstay("db", "upgrade")
    return shop.root


@pytest.fixture
def shop(rigs: Path, tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop", copied=rigs)


def _text_of(shop: Shop, name: str) -> dict[str, str]:
    path = shop.root / name
    return {str(path): path.read_text("utf-8")}


def add(shop: Shop, *arguments: str, code: int = 0) -> str:
    """What `add` says; what it wrote is committed."""
    told = shop.command("add", *arguments, code=code)
    if code == 0:
        shop.commit()
    return told


def edit(shop: Shop, name: str, old: str, new: str) -> None:
    path = shop.root / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_second_run_adds_and_keeps_lines_of_a_person(shop: Shop) -> None:
    edit(shop, MODEL, "\n\nclass Rig", "\nMINE = 1\n\n\nclass Rig")
    shop.commit()
    before = shop.files()
    shown = shop.command("add", "Rig", "depth:float?", "--dry-run")
    assert "+    depth: Mapped[float | None]" in shown
    assert "Nothing was written, since this is a dry run." in shown
    assert shop.files() == before
    add(shop, "Rig", "depth:float?")
    text = (shop.root / MODEL).read_text("utf-8")
    assert "MINE = 1" in text
    assert "depth: Mapped[float | None]" in text
    assert "'depth'" in (shop.root / "src/shop/migrations/0002_change_rigs.py").read_text("utf-8")
    assert "Everything is there already." in add(shop, "Rig", "depth:float?")


def test_a_conflict_is_marked_beside_the_file_of_the_person(shop: Shop) -> None:
    edit(shop, MODEL, "String(200)", "String(210)")
    shop.commit()
    mine = (shop.root / MODEL).read_text("utf-8")
    told = add(shop, "Rig", "name:str:300!", code=1)
    assert "conflict" in told
    assert (shop.root / MODEL).read_text("utf-8") == mine
    assert "String(300)" in (shop.root / f"{MODEL}.conflict").read_text("utf-8")


def test_a_further_required_column_needs_a_value_for_rows(shop: Shop) -> None:
    insert = (
        "import sqlite3; c = sqlite3.connect('backstay.db'); "
        "c.execute(\"insert into rigs values ('a', 'b', '', '', null, null, 1)\"); c.commit()"
    )
    shop.shell(f'python3 -c "{insert.replace(chr(34), chr(92) + chr(34))}"')
    before = shop.files()
    told = shop.command("add", "Rig", "depth:int", code=1)
    assert "rigs.depth: the table has rows, which would have no value." in told
    assert "The configured database has rows in rigs" in shop.command("remove", "Rig", code=1)
    assert "cannot" in shop.command(
        "remove", "Rig", code=1, DB_URL="postgresql://a:b@127.0.0.1:1/c"
    )
    assert shop.files() == before
    add(shop, "Rig", "depth:int=0")
    shop.backstay("db", "upgrade")


def test_what_others_use_or_changed_is_not_removed(shop: Shop) -> None:
    add(shop, "Crane", "rig:ref(Rig)")
    told = shop.command("remove", "Rig", code=1)
    assert "src/shop/features/cranes/model.py" in told
    assert "refers to rigs.id. Take that out first." in told
    edit(shop, MODEL, "\n\nclass Rig", "\nMINE = 1\n\n\nclass Rig")
    shop.commit()
    told = shop.command("remove", "Rig", code=1)
    assert f"{MODEL} has lines of yours" in told
    shop.command("remove", "Crane")
    shop.commit()
    base, kept = told.partition(": cp ")[2].split()[:2]
    shutil.copy(shop.root / base, shop.root / kept)  # what the message says
    assert "removed  src/shop/features/rigs" in shop.command("remove", "Rig", "--force")
    shop.commit()
    assert "No entity Boat was generated here" in shop.command("remove", "Boat", code=2)


def test_nothing_is_added_that_does_not_boot(shop: Shop) -> None:
    edit(shop, "src/shop/application.py", '*features_of("shop.features")', "")
    shop.commit()
    before = shop.files()
    told = add(shop, "Boat", "name:str", code=1)
    assert "src/shop/application.py does not list boats. Write there:" in told
    edit(shop, "src/shop/application.py", "application = ", "application = nothing or ")
    shop.commit()
    told = add(shop, "Boat", "name:str", code=1)
    assert "NameError: name 'nothing' is not defined" in told
    assert "src/shop/application.py:5" in told
    assert "Traceback" not in told
    edit(shop, "src/shop/application.py", "nothing or ", "")
    edit(shop, "src/shop/application.py", "*STANDARD, ", '*STANDARD, *features_of("shop.features")')
    shop.commit()
    assert shop.files() == before | _text_of(shop, "src/shop/application.py")


def test_what_git_does_not_hold_is_not_changed(shop: Shop, tmp_path: Path) -> None:
    (shop.root / "new.txt").write_text("x")
    assert "Not committed: new.txt" in add(shop, "Rig", "name:str", code=1)
    assert "is in no project" in _in(tmp_path, shop)


def _in(folder: Path, shop: Shop) -> str:
    shop.root = folder
    return shop.command("add", "Rig", "name:str", code=1)


@pytest.mark.parametrize(
    "arguments",
    [(), ("Rig", "name:str", "--from", "x.json"), ("--owned",), ("--continue", "--abort")],
)
def test_wrong_usage_is_explained(shop: Shop, arguments: tuple[str, ...]) -> None:
    assert "Usage" in add(shop, *arguments, code=2)


def test_there_may_be_nothing_to_continue(shop: Shop) -> None:
    assert "No command was interrupted here" in add(shop, "--continue")
