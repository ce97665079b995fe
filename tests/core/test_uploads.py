"""Tests what a kept upload leaves when its command succeeds or fails."""

from pathlib import Path

import pytest

from backstay.core.uploads import Upload


async def kept(target: Path, content: bytes) -> Upload:
    source = target.with_name("source")
    source.write_bytes(content)
    upload = Upload.of_file(source, media_type="text/plain")
    await upload.receive()
    await upload.keep(target)
    return upload


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept" / "file"


def names(target: Path) -> list[str]:
    return sorted(each.name for each in target.parent.iterdir() if each.name != "source")


async def test_a_failed_command_leaves_no_file(target: Path) -> None:
    await (await kept(target, b"new")).end(failed=True)
    assert names(target) == []


async def test_a_failed_command_puts_back_what_it_replaced(target: Path) -> None:
    await (await kept(target, b"old")).end(failed=False)
    await (await kept(target, b"new")).end(failed=True)
    assert target.read_bytes() == b"old"
    assert names(target) == ["file"]


async def test_a_failed_command_leaves_the_file_of_a_later_one(target: Path) -> None:
    first = await kept(target, b"first")
    await (await kept(target, b"second")).end(failed=False)
    await first.end(failed=True)
    assert target.read_bytes() == b"second"
    assert names(target) == ["file"]


async def test_a_successful_command_leaves_the_file_alone(target: Path) -> None:
    for content in (b"first", b"second"):
        await (await kept(target, content)).end(failed=False)
    assert target.read_bytes() == b"second"
    assert names(target) == ["file"]
