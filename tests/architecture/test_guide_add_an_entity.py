"""The guides "Add an entity" and "Add a part" work as they are written."""

import re
from pathlib import Path

from tests.architecture.tree import ROOT
from tests.blueprints.projects import Shop

GUIDES = ROOT / "docs" / "guides"
BLOCK = r"^```(sh|json)\n(.*?)^```"


def follow(guide: str, tmp_path: Path) -> Shop:
    """A project in which the blocks of a guide were run."""
    shop = Shop(tmp_path / "shop")
    shop.git("config", "user.name", "Ann")
    shop.git("config", "user.email", "ann@example.org")
    for kind, text in re.findall(
        BLOCK, (GUIDES / guide).read_text("utf-8"), re.DOTALL | re.MULTILINE
    ):
        if kind == "json":
            (shop.root / "entities.json").write_text(text)
        else:
            shop.follow(text)
    return shop


def test_following_the_guide_adds_and_removes_entities(tmp_path: Path) -> None:
    shop = follow("add-an-entity.md", tmp_path)
    assert not (shop.root / "src/shop/features/surveys/model.py").exists()
    assert "weight: Mapped[int]" in (shop.root / "src/shop/features/rigs/model.py").read_text()
    assert "The database is current." in shop.backstay("db", "check")


def test_following_the_guide_adds_and_removes_parts(tmp_path: Path) -> None:
    shop = follow("add-a-part.md", tmp_path)
    parts = shop.root / "src/shop/features/orders/parts"
    assert sorted(path.name for path in parts.glob("*.py")) == ["__init__.py", "payment.py"]
