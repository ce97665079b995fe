"""Type checkers find a further folder, by an edit that leaves everything else as it is."""

import tomllib

import pytest

from backstay.blueprints.checkers import finding, without

FOLDER = "src/shop/ejected"
NOTE = " # with the copies of packaged features"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('mypy_path = "src" # ours\n', 'mypy_path = "src:src/shop/ejected" # ours\n'),
        ('mypy_path = ["src", "x"]\n', 'mypy_path = ["src", "x", "src/shop/ejected"]\n'),
        ("strict = true\n", f'mypy_path = ["src/shop/ejected"]{NOTE}\nstrict = true\n'),
    ],
)
def test_the_path_of_mypy_gets_longer(before: str, after: str) -> None:
    head, tail = "# mine\n[tool.mypy] # strict\n", '\n[[tool.mypy.overrides]]\nmodule = "x"\n'
    change, left = finding(f"{head}{before}{tail}".encode(), FOLDER)
    assert change.after == f"{head}{after}{tail}".encode()
    assert left == ("Let pyright search src/shop/ejected, too (extraPaths).",)


def test_lines_that_were_added_are_taken_out_again() -> None:
    text = b'[tool.mypy]\nstrict = true\n\n[tool.pyright]\ninclude = ["src"]\n'
    once, _ = finding(text, FOLDER)
    assert once.after is not None
    assert once.after.count(NOTE.encode()) == 2
    assert without(once.after, FOLDER)[0].after == text


def test_a_second_edit_changes_nothing_and_the_last_undoes_it() -> None:
    text = '[tool.mypy]\r\nmypy_path = "src"\r\n\r\n[tool.pyright]\r\nextraPaths = ["src"]\r\n'
    once, left = finding(text.encode(), FOLDER)
    assert left == ()
    assert once.after is not None
    assert tomllib.loads(once.after.decode())["tool"]["pyright"] == {"extraPaths": ["src", FOLDER]}
    twice, _ = finding(once.after, FOLDER)
    assert twice.after == twice.before
    back, _ = without(once.after, FOLDER)
    assert back.after == text.encode()


@pytest.mark.parametrize(
    "section",
    ["mypy_path = '''src'''", 'mypy_path = 3\n"x" = 1', 'mypy_path = [\n "src", # ]\n]'],
)
def test_what_cannot_be_edited_safely_is_told(section: str) -> None:
    text = f"[tool.mypy]\n{section}\n".encode()
    change, left = finding(text, FOLDER)
    assert change.after == text
    assert any("mypy" in sentence for sentence in left)


def test_a_project_without_checkers_is_told() -> None:
    change, left = finding(b'[project]\nname = "shop"\n', FOLDER)
    assert change.after == change.before
    assert len(left) == 2
    assert without(b'[project]\nname = "shop"\n', FOLDER)[1] == ()
