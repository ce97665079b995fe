"""Entities are generated into a new project, migrated, typed, tested, changed and removed.

There are those of the shop, and random ones: BLUEPRINTS says how many; `make blueprints` asks for
200.
"""

import os
import sys
from pathlib import Path

import pytest

from backstay.blueprints.entities.adding import addition
from backstay.blueprints.entities.command_line import entity_of
from backstay.blueprints.entities.description import Entity
from backstay.blueprints.entities.existing import Project
from backstay.testing.postgres_server import PostgresServer
from tests.blueprints.projects import BIN, Shop, new_shop
from tests.blueprints.random_entities import random_entities

EACH = 8
SEEDS = range(5, 5 + max(1, int(os.environ.get("BLUEPRINTS", EACH)) // EACH))
OF_THE_SHOP = Path(__file__).with_name("shop.json")


def add(shop: Shop, *entities: Entity) -> None:
    addition(Project.of(shop.root), entities, print).plan.apply()
    shop.commit()


def further(shop: Shop, name: str) -> Entity:
    """The entity with more of everything."""
    entity, problems = entity_of(
        name,
        ["further:int=7", "remarks_more:text?"],
        children=["additions:word:str,size:int"],
        soft_delete=True,
        before=Project.of(shop.root).entities[name],
    )
    assert problems == []
    return entity


def check(shop: Shop) -> None:
    """Run what `make check` runs."""
    shop.python("ruff", "format", "--no-cache", "--check", ".")
    shop.python("ruff", "check", "--no-cache", ".")
    shop.shell(f"PYTHONPATH=src:$PYTHONPATH {BIN}/lint-imports --no-cache")
    shop.mypy("src", "tests")
    shop.python("pyright", f"--pythonpath={sys.executable}")


@pytest.mark.parametrize("seed", SEEDS)
def test_random_entities_live_from_add_to_remove(
    seed: int, tmp_path: Path, postgres: PostgresServer
) -> None:
    shop, entities = new_shop(tmp_path), random_entities(seed, EACH)
    shop.command("add", "--from", str(OF_THE_SHOP))
    shop.commit()
    add(shop, *entities)
    urls = [f"sqlite:///{tmp_path / 'shop.db'}", postgres.create_database()]
    shop.migrate(*urls)
    check(shop)
    assert " passed" in shop.python("pytest", "-n0", "-q", "tests")

    first, last = entities[0], entities[-1]
    add(shop, further(shop, first.name))
    shop.python("pytest", "-n0", "-q", f"tests/test_{first.plural}.py")
    shop.command("remove", last.name, DB_URL=urls[0])
    shop.commit()
    shop.migrate(*urls)
    assert not (shop.root / f"src/shop/features/{last.plural}/model.py").exists()
    postgres.drop_database(urls[1])
