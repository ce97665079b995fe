"""Shows which copies of Pwned Passwords are refused at the start, and why."""

from pathlib import Path

import pytest

from tests.settings.reading import Read, faulty

NAME = "SECURITY_BREACHED_PASSWORDS_FILE"
LINE = "0" * 39 + "{}:5\r\n"


def test_without_a_copy_nothing_is_looked_up(read: Read) -> None:
    settings = read().settings
    assert settings is not None
    assert settings.security.breached_passwords_file is None


def test_a_file_and_a_folder_are_taken(read: Read, tmp_path: Path) -> None:
    file, folder = tmp_path / "hashes.txt", tmp_path / "ranges"
    file.write_text("".join(LINE.format(digit) for digit in "0123456789ABCDEF"), newline="")
    folder.mkdir()
    (folder / "README").write_text("not a range")
    (folder / "0000A").write_text("F" * 35 + ":1\n")
    for path in (file, folder):
        loaded = read({NAME: str(path)})
        assert loaded.errors == ()
        assert loaded.settings is not None
        assert loaded.settings.security.breached_passwords_file == str(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        ("", "lines HASH:COUNT"),
        ("password\n", "lines HASH:COUNT"),
        ("F" * 35 + ":1\n", "lines HASH:COUNT"),
        ("x" * 100_000, "lines HASH:COUNT"),
        (LINE.format("0") + "x" * 100_000, "lines HASH:COUNT"),
        (LINE.format("F") + LINE.format("0"), "order of its hashes"),
        ({}, "folder without files"),
        ({"0000.txt": "F" * 35 + ":1\n"}, "folder without files"),
        ({"00000.txt": "F" * 40 + ":1\n"}, "SUFFIX:COUNT"),
        ({"00000.txt": ""}, "SUFFIX:COUNT"),
    ],
)
def test_an_unusable_copy_is_refused_with_the_reason(
    read: Read, tmp_path: Path, content: str | dict[str, str] | None, reason: str
) -> None:
    path = tmp_path / "pwned"
    if isinstance(content, dict):
        path.mkdir()
        for name, text in content.items():
            (path / name).write_text(text)
    elif content is not None:
        path.write_text(content, newline="")
    loaded = read({NAME: str(path)})
    assert faulty(loaded) == [NAME]
    assert reason in loaded.errors[0].wrong
    assert "downloader" in loaded.errors[0].hint


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/dev/zero", "not a plain file"), ("n" * 300, "File name too long"), ("a\0b", "a NUL")],
)
def test_anything_but_a_file_or_folder_is_not_read(read: Read, path: str, reason: str) -> None:
    loaded = read({NAME: path})
    assert faulty(loaded) == [NAME]
    assert loaded.errors[0].wrong.startswith("cannot be read: ")
    assert loaded.errors[0].wrong.endswith(reason)
