"""Shows which names of a project's code a release renames, and which it leaves."""

import pytest

from backstay.blueprints import codemods
from backstay.blueprints.codemods import renamed, renames_between

RENAMES = [
    {
        "backstay.Reader": "backstay.Rows",
        "backstay.Scope.OWN": "backstay.Scope.MINE",
        "backstay.handles(instead_of)": "backstay.handles(replacing)",
    }
]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "from backstay import Reader, View  # ours\n\n\ndef f(r: Reader) -> Reader: ...\n",
            "from backstay import Rows, View  # ours\n\n\ndef f(r: Rows) -> Rows: ...\n",
        ),
        ("from backstay import Reader as R\n\nx: R\n", "from backstay import Rows as R\n\nx: R\n"),
        ("import backstay\n\nx: backstay.Reader\n", "import backstay\n\nx: backstay.Rows\n"),
        ("import backstay as b\n\nx: b.Reader\n", "import backstay as b\n\nx: b.Rows\n"),
        (
            "from backstay import Scope\n\nx = Scope.OWN\n",
            "from backstay import Scope\n\nx = Scope.MINE\n",
        ),
        (
            "from backstay import Reader\n\n\ndef f(Reader: int) -> int:\n    return Reader\n",
            "from backstay import Rows\n\n\ndef f(Reader: int) -> int:\n    return Reader\n",
        ),
        (
            "from backstay import handles as h\n\n\n@h(A, instead_of=b,)\ndef f(): ...\n",
            "from backstay import handles as h\n\n\n@h(A, replacing=b,)\ndef f(): ...\n",
        ),
    ],
)
def test_what_is_imported_is_renamed(before: str, after: str) -> None:
    assert renamed(before, RENAMES) == after


@pytest.mark.parametrize(
    "text",
    [
        "from csv import Reader\n\nx: Reader\n",
        "class Reader: ...\n\n\nclass Scope:\n    OWN = 1\n\n\nx = Scope.OWN\n",
        "x = 'Reader'\n# Reader\n",
        "from backstay import handles\n\na = 1\nother(handles(A), instead_of=a)\n",
        "from backstay import (Reader\n",
    ],
)
def test_what_only_looks_alike_is_left(text: str) -> None:
    assert renamed(text, RENAMES) == text


def test_renames_are_those_of_the_releases_between(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {f"0.{number}.0": {"a": str(number)} for number in (10, 2, 3)}
    monkeypatch.setattr(codemods, "RENAMES", told)
    assert renames_between("0.2.0", "0.10.0") == [{"a": "3"}, {"a": "10"}]
    assert renames_between("0.10.0", "0.10.0") == []
