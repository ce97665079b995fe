"""The guides to tests and to adapters work as they are written, each in a project of its own."""

import re
from pathlib import Path

from backstay.testing import contracts
from tests.architecture.tree import ROOT
from tests.guides import follow, run

TESTS = "pytest", "-p", "no:cacheprovider"


def test_every_recipe_for_a_test_passes(tmp_path: Path) -> None:
    follow(tmp_path, "build-on-it", "testing")
    run(tmp_path, "backstay", "db", "revision", "parcels")
    told = run(tmp_path, *TESTS)
    assert f"backstay: shop.application:application of {tmp_path}/pyproject.toml, on sqlite" in told
    assert re.search(r"\b17 passed", told), told


def test_the_adapter_of_the_guide_keeps_its_contract(tmp_path: Path) -> None:
    follow(tmp_path, "build-on-it", "replace-an-adapter")
    run(tmp_path, "backstay", "db", "revision", "notes", SES_KEY="a key")
    told = run(tmp_path, *TESTS)
    assert re.search(r"\b26 passed", told), told


def test_the_guide_lists_every_contract_with_its_fixtures() -> None:
    page = (ROOT / "docs" / "guides" / "replace-an-adapter.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `\w+` \| `(\w+Contract)` \| (.*) \|$", page, re.M))
    assert rows.keys() == {name for name in contracts.__all__ if name.endswith("Contract")}
    for name, fixtures in rows.items():
        own = vars(getattr(contracts, name))
        needed = {each for each in own if type(own[each]).__name__ == "FixtureFunctionDefinition"}
        assert {each for each in needed if f"`{each}`" not in fixtures} == set(), name
