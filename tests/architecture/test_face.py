"""Shows that the public names are one list: the stub and the page agree with it."""

import subprocess
import sys

import pytest

import backstay
from tests.architecture import face


@pytest.mark.parametrize("name", sorted(face.FROM))
def test_every_public_name_exists(name: str) -> None:
    assert getattr(backstay, name) is not None


def test_stub_and_page_are_as_make_face_writes_them() -> None:
    assert face.STUB.read_text("utf-8") == face.stub()
    assert face.PAGE.read_text("utf-8") == face.page()


def test_every_public_name_stands_on_the_page_with_a_sentence() -> None:
    rows = [line for line in face.page().split("\n") if line.startswith("| `")]
    assert len(rows) == len(face.FROM)
    assert not [row for row in rows if row.endswith("| . |")]


def test_importing_the_package_loads_nothing_else() -> None:
    program = "import sys, backstay; print(*[m for m in sys.modules if m.startswith('backstay.')])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_an_unknown_name_is_explained() -> None:
    with pytest.raises(AttributeError, match=r"docs/api\.md"):
        _ = backstay.Nothing  # type: ignore[attr-defined]
