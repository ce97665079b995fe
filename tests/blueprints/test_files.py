"""How a person keeps files is kept, and what must not be written is refused in a sentence."""

import os
from pathlib import Path

import pytest

from backstay.blueprints.errors import BlueprintError
from tests.blueprints.trees import FIELDS, content, everything, generate, plan

CHANGED = FIELDS.replace("c = 3", "c = 300")


def refusal(root: Path, *paths: str) -> str:
    before = everything(root)
    with pytest.raises(BlueprintError) as caught:
        plan(root, dict.fromkeys(paths, FIELDS))
    assert everything(root) == before
    return str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "../a.py",
            "/etc/a.py",
            "a/../../b.py",
            "",
            ".",
            "a//b.py",
            "a\\b.py",
            "C:a.py",
            "./a.py",
        ),
        *(".git/hooks/pre-commit", ".blueprints/records/a.json"),
    ],
)
def test_a_path_out_of_the_project_is_refused(tmp_path: Path, path: str) -> None:
    assert "is not the path of a file in a project" in refusal(tmp_path, path)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (root / "linked").symlink_to(outside)
    (root / "a.py").symlink_to(outside / "a.py")
    said = refusal(root, "linked/b.py", "a.py")
    assert "a.py is a symbolic link" in said
    assert "linked is a symbolic link" in said
    (root / ".blueprints").symlink_to(outside)
    with pytest.raises(BlueprintError, match=r"\.blueprints is a symbolic link"):
        generate(root, {"c.py": FIELDS})
    (root / ".blueprints").unlink()
    (root / ".blueprints").mkdir()
    (root / ".blueprints/bases").symlink_to(outside)
    with pytest.raises(BlueprintError, match=r"\.blueprints/bases is a symbolic link"):
        generate(root, {"c.py": FIELDS})
    assert list(outside.iterdir()) == []


def test_names_that_differ_in_case_only_are_refused(tmp_path: Path) -> None:
    (tmp_path / "Sub").mkdir()
    (tmp_path / "Readme.md").touch()
    said = refusal(tmp_path, "sub/a.py", "README.md")
    assert "sub differs only in upper and lower case from Sub" in said
    assert "README.md differs only in upper and lower case from Readme.md" in said
    assert "would be written twice" in refusal(tmp_path, "a.py", "A.py")


def test_folders_and_files_are_not_exchanged(tmp_path: Path) -> None:
    (tmp_path / "a.py").mkdir()
    (tmp_path / "sub").touch()
    os.mkfifo(tmp_path / "pipe")
    said = refusal(tmp_path, "a.py", "sub/b.py", "pipe")
    assert "a.py is a folder" in said
    assert "sub is a file" in said
    assert "pipe is a folder, or no plain file" in said


def test_a_read_only_file_is_refused(tmp_path: Path) -> None:
    generate(tmp_path, {"a.py": FIELDS})
    (tmp_path / "a.py").chmod(0o444)
    assert "chmod u+w a.py" in refusal(tmp_path, "a.py")


@pytest.mark.parametrize("folder", ["", "sub", ".blueprints/bases"])
def test_a_read_only_folder_is_refused(tmp_path: Path, folder: str) -> None:
    generate(tmp_path, {"sub/a.py": FIELDS})
    before = everything(tmp_path)
    (tmp_path / folder).chmod(0o555)
    with pytest.raises(BlueprintError, match=f"Make it writable: chmod u.w {folder or '.'}"):
        generate(tmp_path, {"sub/a.py": CHANGED, "sub/new/b.py": FIELDS, "c.py": FIELDS})
    (tmp_path / folder).chmod(0o755)
    assert everything(tmp_path) == before


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    generate(tmp_path, {"a.py": FIELDS})
    (tmp_path / "a.py").write_bytes(b"a = 1\nb = '\xe9'\n")
    with pytest.raises(BlueprintError, match=r"a\.py is not UTF-8 \(line 2\)"):
        plan(tmp_path, {"a.py": CHANGED})
    generate(tmp_path, {})
    assert content(tmp_path) == {"a.py": b"a = 1\nb = '\xe9'\n"}  # left, as it was changed


@pytest.mark.parametrize("own", ["", "# mine\n"])
def test_windows_newlines_and_a_mark_stay(tmp_path: Path, own: str) -> None:
    generate(tmp_path, {"a.py": FIELDS})
    (tmp_path / "a.py").write_bytes(("\ufeff" + (own + FIELDS).replace("\n", "\r\n")).encode())
    generate(tmp_path, {"a.py": CHANGED})
    expected = "\ufeff" + (own + CHANGED).replace("\n", "\r\n")
    assert (tmp_path / "a.py").read_bytes() == expected.encode()


def test_a_missing_last_newline_is_no_change(tmp_path: Path) -> None:
    generate(tmp_path, {"a.py": FIELDS})
    (tmp_path / "a.py").write_text(FIELDS.removesuffix("\n"))
    assert plan(tmp_path, {"a.py": CHANGED}).conflicts == ()
    generate(tmp_path, {"a.py": CHANGED})
    assert (tmp_path / "a.py").read_text() == CHANGED.removesuffix("\n")
