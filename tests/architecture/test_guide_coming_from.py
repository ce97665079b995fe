"""Shows that the guide for people of other templates names the settings that are read."""

import re
from collections.abc import Iterator
from pathlib import Path

from backstay.settings import read_settings
from backstay.settings.schema import PACKAGED
from tests.architecture.tree import ROOT

PAGE = ROOT / "docs" / "guides" / "coming-from.md"
READ = {name: each.name for each in PACKAGED.variables for name in each.names}
NAME = re.compile(r"`([A-Z][A-Z0-9_]+)`")


def rows() -> Iterator[tuple[list[str], str]]:
    """Each row of the tables of settings: their names, and what it says of ours."""
    for table in PAGE.read_text("utf-8").split("| Their setting | Here |\n| --- | --- |\n")[1:]:
        for line in table.partition("\n\n")[0].splitlines():
            _, theirs, ours, _ = line.split("|")
            yield NAME.findall(theirs), ours.strip()


def test_settings_of_the_same_name_are_read(tmp_path: Path) -> None:
    same = {name for theirs, ours in rows() if ours.startswith("the same") for name in theirs}
    assert len(same) > 40
    for name in sorted(same):
        loaded = read_settings({"ENVIRONMENT": "staging", name: "1"}, tmp_path)
        assert loaded.origins[READ[name]].startswith("environment"), name


def test_other_settings_are_read_under_our_names_only(tmp_path: Path) -> None:
    for theirs, ours in rows():
        if ours.startswith("the same"):
            continue
        assert not READ.keys() & {*theirs}
        named = NAME.findall(ours)
        assert named or ours.startswith("none")
        for name in named:
            loaded = read_settings({"ENVIRONMENT": "staging", name: "1"}, tmp_path)
            assert loaded.origins[name] == "environment"
