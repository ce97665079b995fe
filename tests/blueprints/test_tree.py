"""What was generated is merged with what a person changed, and never written over it."""

from pathlib import Path

import pytest

from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.records import Record, record_of
from backstay.blueprints.tree import Action, Plan
from tests.blueprints.trees import FIELDS, RECORD, actions, content, everything, generate, plan


def test_what_is_rendered_is_written_and_remembered(tmp_path: Path) -> None:
    made = generate(tmp_path, {"src/rig/model.py": FIELDS, "README.md": "# Rig\n"})
    assert actions(made) == {"README.md": Action.WRITE, "src/rig/model.py": Action.WRITE}
    assert content(tmp_path) == {"README.md": b"# Rig\n", "src/rig/model.py": FIELDS.encode()}
    found = record_of(tmp_path, "entity", "rig")
    assert found is not None
    assert found.files == ("README.md", "src/rig/model.py")
    assert found.options == RECORD.options


def test_a_plan_alone_changes_nothing(tmp_path: Path) -> None:
    generate(tmp_path, {"a.py": FIELDS})
    before = everything(tmp_path)
    made = plan(tmp_path, {"a.py": FIELDS + "d = 4\n", "b.py": "x = 1\n"})
    assert "+++ b/a.py" in made.diff()
    assert "+d = 4" in made.diff()
    assert "--- /dev/null\n+++ b/b.py" in made.diff()
    assert everything(tmp_path) == before


def test_the_same_rendering_again_changes_nothing(tmp_path: Path) -> None:
    generate(tmp_path, {"a.py": FIELDS})
    before = everything(tmp_path)
    assert actions(generate(tmp_path, {"a.py": FIELDS})) == {"a.py": Action.KEEP}
    assert everything(tmp_path) == before


def test_what_a_person_added_stays(tmp_path: Path) -> None:
    generate(tmp_path, {"a.py": FIELDS})
    (tmp_path / "a.py").write_text(FIELDS.replace("a = 1", "a = 100"))
    made = generate(tmp_path, {"a.py": FIELDS.replace("c = 3", "c = 300")})
    assert actions(made) == {"a.py": Action.MERGE}
    assert (tmp_path / "a.py").read_text() == "a = 100\n\nb = 2\n\nc = 300\n"


def test_what_a_person_did_not_touch_is_replaced(tmp_path: Path) -> None:
    generate(tmp_path, {"a.py": FIELDS})
    assert actions(generate(tmp_path, {"a.py": "x = 1\n"})) == {"a.py": Action.UPDATE}
    assert (tmp_path / "a.py").read_text() == "x = 1\n"


def test_a_conflict_leaves_the_file_and_is_marked_beside(tmp_path: Path) -> None:
    generate(tmp_path, {"a.py": FIELDS})
    (tmp_path / "a.py").write_text(FIELDS.replace("b = 2", "b = 20"))
    made = generate(tmp_path, {"a.py": FIELDS.replace("b = 2", "b = 30")})
    assert [change.path for change in made.conflicts] == ["a.py"]
    assert "b = 20" in (tmp_path / "a.py").read_text()
    marked = (tmp_path / "a.py.conflict").read_text()
    assert "<<<<<<< yours\nb = 20\n||||||| generated before\nb = 2\n=======\nb = 30\n" in marked
    with pytest.raises(BlueprintError, match=r"a\.py\.conflict has conflicts.*then delete it"):
        plan(tmp_path, {"a.py": FIELDS})
    (tmp_path / "a.py.conflict").unlink()
    assert actions(plan(tmp_path, {"a.py": FIELDS.replace("b = 2", "b = 30")})) == {
        "a.py": Action.KEEP
    }


def test_a_merge_that_no_longer_parses_is_a_conflict(tmp_path: Path) -> None:
    generate(tmp_path, {"a.py": FIELDS, "b.toml": "a = 1\nb = 2\n"})
    (tmp_path / "a.py").write_text(FIELDS.replace("a = 1", "a = (1"))
    (tmp_path / "b.toml").write_text("c = 9\na = 1\nb = 2\n")
    made = generate(tmp_path, {"a.py": FIELDS + "d = 4\n", "b.toml": "a = 1\nb = 2\nc = 3\n"})
    assert ["do not go together" in change.note for change in made.conflicts] == [True, True]


def test_a_blueprint_that_writes_nonsense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BlueprintError, match=r"wrote a\.py wrongly \(line 1"):
        plan(tmp_path, {"a.py": "def\n"})


def test_a_deleted_file_is_not_written_again(tmp_path: Path) -> None:
    generate(tmp_path, {"a.py": FIELDS, "b.py": FIELDS})
    (tmp_path / "a.py").unlink()
    made = generate(tmp_path, {"a.py": "x = 1\n", "b.py": FIELDS})
    assert actions(made)["a.py"] is Action.LEAVE_DELETED
    assert not (tmp_path / "a.py").exists()


def test_what_is_not_rendered_any_more_goes(tmp_path: Path) -> None:
    generate(tmp_path, {"sub/a.py": FIELDS, "b.py": FIELDS, "c.py": FIELDS})
    (tmp_path / "b.py").write_text("mine = 1\n")
    made = generate(tmp_path, {"c.py": FIELDS})
    assert actions(made)["sub/a.py"] is Action.REMOVE
    assert actions(made)["b.py"] is Action.LEAVE
    assert content(tmp_path) == {"b.py": b"mine = 1\n", "c.py": FIELDS.encode()}
    assert not (tmp_path / "sub").exists()


def test_a_removal_forgets_all_of_it(tmp_path: Path) -> None:
    generate(tmp_path, {"a.py": FIELDS})
    Plan.removal(tmp_path, RECORD).apply()
    assert list(everything(tmp_path)) == [".blueprints/.gitignore"]


def test_a_file_that_was_not_generated_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("mine = 1\n")
    (tmp_path / "b.py").write_text(FIELDS)
    with pytest.raises(BlueprintError) as caught:
        plan(tmp_path, {"a.py": FIELDS, "b.py": FIELDS, "c.py": FIELDS})
    assert list(caught.value.problems) == [
        "a.py is there already, and was not generated. Rename or move it."
    ]
    assert sorted(content(tmp_path)) == ["a.py", "b.py"]


def test_another_blueprints_file_is_refused(tmp_path: Path) -> None:
    generate(tmp_path, {"a.py": FIELDS})
    with pytest.raises(BlueprintError, match=r"a\.py belongs to the entity rig"):
        plan(tmp_path, {"a.py": FIELDS}, Record("job", "drill"))


def test_what_is_written_once_is_the_persons(tmp_path: Path) -> None:
    once = {"migrations/0001_rig.py": "x = 1\n"}
    Plan.of(tmp_path, {"a.py": FIELDS}, RECORD, once=once).apply()
    generate(tmp_path, {"a.py": FIELDS})
    Plan.removal(tmp_path, RECORD).apply()
    assert content(tmp_path) == {"migrations/0001_rig.py": b"x = 1\n"}


def test_two_plans_are_carried_out_as_one(tmp_path: Path) -> None:
    both = plan(tmp_path, {"b.py": "b = 1\n"}) + plan(tmp_path, {"a.py": "a = 1\n"}, JOB)
    both.apply()
    assert sorted(content(tmp_path)) == ["a.py", "b.py"]
    assert record_of(tmp_path, "job", "drill") is not None
    with pytest.raises(BlueprintError, match=r"c\.py would be written twice"):
        plan(tmp_path, {"c.py": FIELDS}) + plan(tmp_path, {"c.py": FIELDS}, JOB)


JOB = Record("job", "drill")


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    generate(tmp_path, {"a.py": FIELDS})
    (tmp_path / RECORD.path).write_text("{")
    with pytest.raises(BlueprintError, match="git checkout"):
        plan(tmp_path, {"a.py": FIELDS})


def test_what_changed_since_the_plan_is_not_written_over(tmp_path: Path) -> None:
    generate(tmp_path, {"a.py": FIELDS})
    made = plan(tmp_path, {"a.py": "x = 1\n"})
    (tmp_path / "a.py").write_text("mine = 1\n")
    with pytest.raises(BlueprintError, match=r"a\.py was changed meanwhile"):
        made.apply()
    assert content(tmp_path) == {"a.py": b"mine = 1\n"}


LONG = "one = 1\n\ntwo = 2\n\nthree = 3\n\nfour = 4\n"


def test_changes_move_along_with_a_file(tmp_path: Path) -> None:
    generate(tmp_path, {"a.py": LONG, "c.py": LONG.replace("one", "uno")})
    (tmp_path / "a.py").write_text(f"{LONG}five = 5  # mine\n")
    new = {"b/d.py": LONG.replace("two = 2", "two = 22"), "e.py": "x = 1\n"}
    made = generate(tmp_path, new)
    assert actions(made) == {
        "a.py": Action.REMOVE,
        "b/d.py": Action.MERGE,
        "c.py": Action.REMOVE,
        "e.py": Action.WRITE,
    }
    assert content(tmp_path)["b/d.py"] == f"{new['b/d.py']}five = 5  # mine\n".encode()
    assert everything(tmp_path)[".blueprints/bases/b/d.py.base"] == new["b/d.py"].encode()
    assert ".blueprints/bases/a.py.base" not in everything(tmp_path)
    assert set(actions(generate(tmp_path, new)).values()) == {Action.KEEP}


def test_a_conflict_in_a_moved_file_loses_nothing(tmp_path: Path) -> None:
    generate(tmp_path, {"a.py": LONG})
    (tmp_path / "a.py").write_text(LONG.replace("two = 2", "two = 'mine'"))
    made = generate(tmp_path, {"b.py": LONG.replace("two = 2", "two = 22")})
    assert actions(made) == {"a.py": Action.REMOVE, "b.py": Action.CONFLICT}
    assert "two = 'mine'" in (tmp_path / "b.py").read_text()
    assert "two = 22" in (tmp_path / "b.py.conflict").read_text()


def test_of_backstay_itself_only_lines_in_conflict_stay(tmp_path: Path) -> None:
    path = "src/backstay/core/a.py"
    generate(tmp_path, {path: LONG})
    (tmp_path / path).write_text(LONG.replace("two = 2", "two = 'mine'"))
    new = LONG.replace("two = 2", "two = 22").replace("four = 4", "four = 44")
    made = generate(tmp_path, {path: new})
    assert [change.path for change in made.conflicts] == [path]
    assert (tmp_path / path).read_text() == new.replace("two = 22", "two = 'mine'")
    assert "two = 22" in (tmp_path / f"{path}.conflict").read_text()
