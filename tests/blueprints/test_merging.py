"""Only lines that both sides changed are in conflict; no line of either is lost."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.blueprints.merging import Merged, merge

LINES = [f"line {number}\n" for number in range(8)]
PLACES = st.sets(st.integers(0, 7))
TEXTS = st.lists(st.sampled_from("abc"), max_size=8).map(lambda ls: "".join(f"{x}\n" for x in ls))


def edited(places: set[int], how: str) -> str:
    return "".join(
        how.format(line.strip()) if number in places else line for number, line in enumerate(LINES)
    )


@given(yours=PLACES, generated=PLACES, how=st.sampled_from(["", "{}!\n", "{}\nmore of {}\n"]))
def test_edits_of_different_lines_are_both_kept(
    yours: set[int], generated: set[int], how: str
) -> None:
    generated = generated - yours
    how = how.replace("{}", "{0}")
    merged = merge("".join(LINES), edited(yours, how), edited(generated, how))
    assert merged == Merged(edited(yours | generated, how), 0)


@given(base=TEXTS, yours=TEXTS, generated=TEXTS)
def test_no_line_of_a_person_is_lost(base: str, yours: str, generated: str) -> None:
    merged = merge(base, yours, generated)
    kept = set(merged.text.splitlines())
    assert set(yours.splitlines()) - set(base.splitlines()) <= kept
    assert merge(base, generated, yours).conflicts == merged.conflicts
    assert merge(base, yours, base).text == merge(base, yours, yours).text == yours
    assert merge(base, base, generated).text == generated


@pytest.mark.parametrize(
    ("yours", "generated"),
    [
        ("a\nX\nc\nd\ne\n", "a\nb\nc\nd\nE\n"),
        ("mine\na\nb\nc\nd\ne\n", "a\nb\nc\nd\ne\nnew\n"),
        ("a\nb\nd\ne\n", "A\nb\nc\nd\ne\n"),
    ],
)
def test_git_merges_the_same(tmp_path: Path, yours: str, generated: str) -> None:
    base = "a\nb\nc\nd\ne\n"
    files = [tmp_path / name for name in ("yours", "base", "generated")]
    for file, text in zip(files, (yours, base, generated), strict=True):
        file.write_text(text)
    command = ["git", "merge-file", "-p", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert merge(base, yours, generated) == Merged(done.stdout, 0)


@pytest.mark.parametrize(
    ("yours", "generated"),
    [("a\nX\n", "a\nY\n"), ("a\nb\nX\n", "a\nb\nY\n"), ("a\n", "a\nB\n"), ("X\n", "a\nY\n")],
)
def test_the_same_lines_are_in_conflict(yours: str, generated: str) -> None:
    assert merge("a\nb\n", yours, generated).conflicts == 1


def test_the_same_edit_of_both_is_taken_once() -> None:
    assert merge("a\nb\n", "a\nnew\nb\n", "a\nnew\nB\n") == Merged("a\nnew\nB\n", 0)
