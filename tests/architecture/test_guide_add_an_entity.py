"""The guide "Add an entity" works as it is written."""

import re
import sys
from pathlib import Path

from tests.architecture.tree import ROOT
from tests.blueprints.projects import Shop

GUIDE = (ROOT / "docs" / "guides" / "add-an-entity.md").read_text("utf-8")


def test_following_the_guide_adds_and_removes_entities(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("backstay", "pytest"):
        (tools / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {name} "$@"\n')
        (tools / name).chmod(0o755)
    shop.git("config", "user.name", "Ann")
    shop.git("config", "user.email", "ann@example.org")
    for kind, text in re.findall(r"^```(sh|json)\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE):
        if kind == "json":
            (shop.root / "entities.json").write_text(text)
        else:
            shop.shell(f'set -e; PATH="{tools}:$PATH"\n{text}')
    assert not (shop.root / "src/shop/features/surveys/model.py").exists()
    assert "weight: Mapped[int]" in (shop.root / "src/shop/features/rigs/model.py").read_text()
    assert "The database is current." in shop.backstay("db", "check")
