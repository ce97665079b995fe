"""Shows that what a release edits does not stand against what it renders."""

from pathlib import Path

from backstay.blueprints.records import Record, base_of, base_path
from backstay.blueprints.tree import Action, Plan, revert

RECORD = Record("entity", "Rig")
PATH, OWN = "src/shop/rig.py", "src/shop/own.py"
OLD = "import old\n\nx = old.x\ny = 1\n"
NEW = "import new\n\nx = new.x\ny = 2\n"


def _grown(root: Path, mine: str) -> dict[str, str]:
    """A generated file that was changed, and the edits of a release that renames ``old``."""
    Plan.of(root, {PATH: OLD}, RECORD).apply()
    (root / PATH).write_text(mine)
    (root / OWN).write_text("import old\r\n", newline="")
    edited = {PATH: mine, OWN: "import old\n", base_path(PATH): OLD}
    return {path: text.replace("old", "new") for path, text in edited.items()}


def _upgrade(root: Path, edits: dict[str, str]) -> Plan:
    own = {OWN: edits[OWN]}
    plan = Plan.of_edits(root, own, "Names.", once={"src/shop/0002.py": "z = 3\n"})
    return plan + Plan.of(root, {PATH: NEW}, RECORD, edits=edits)


def test_a_renamed_line_beside_a_changed_one_is_merged(tmp_path: Path) -> None:
    edits = _grown(tmp_path, OLD.replace("x = old.x", "x = old.x + old.mine"))
    plan = _upgrade(tmp_path, edits)
    assert plan.conflicts == ()
    plan.apply()
    assert (tmp_path / PATH).read_text() == NEW.replace("new.x", "new.x + new.mine")
    assert (tmp_path / OWN).read_bytes() == b"import new\r\n"
    assert (tmp_path / "src/shop/0002.py").read_text() == "z = 3\n"
    assert base_of(tmp_path, PATH) == NEW


def test_a_file_with_conflicts_gets_the_new_names(tmp_path: Path) -> None:
    edits = _grown(tmp_path, OLD.replace("y = 1", "y = old.mine"))
    plan = _upgrade(tmp_path, edits)
    assert [change.path for change in plan.conflicts] == [PATH]
    plan.apply()
    assert (tmp_path / PATH).read_text() == "import new\n\nx = new.x\ny = new.mine\n"
    assert "y = new.mine\n" in (tmp_path / f"{PATH}.conflict").read_text()


def test_what_was_applied_is_taken_back(tmp_path: Path) -> None:
    edits = _grown(tmp_path, OLD)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    revert(tmp_path, _upgrade(tmp_path, edits).apply())
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_file_that_only_the_release_edits_is_updated(tmp_path: Path) -> None:
    edits = _grown(tmp_path, OLD)
    [change] = Plan.of(tmp_path, {PATH: OLD.replace("old", "new")}, RECORD, edits=edits).changes
    assert change.action is Action.UPDATE
