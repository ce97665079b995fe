"""Entities and parts are generated into a new project, migrated, typed, tested and removed.

There are those of the shop, and random ones: BLUEPRINTS says how many; `make blueprints` asks for
200.
"""

import os
import sys
from pathlib import Path
from unittest import mock

import pytest

from backstay.blueprints.entities.adding import addition
from backstay.blueprints.entities.command_line import entity_of
from backstay.blueprints.entities.description import Entity
from backstay.blueprints.entities.existing import Project
from backstay.blueprints.parts import adding
from backstay.blueprints.parts.adding import part_addition
from backstay.blueprints.parts.description import KINDS, part_of
from backstay.testing.postgres_server import PostgresServer
from tests.blueprints.projects import BIN, Shop, new_shop
from tests.blueprints.random_entities import random_entities

EACH = 8
SEEDS = range(5, 5 + max(1, int(os.environ.get("BLUEPRINTS", EACH)) // EACH))
OF_THE_SHOP = Path(__file__).with_name("shop.json")


def add(shop: Shop, *entities: Entity) -> None:
    addition(Project.of(shop.root), entities, print).plan.apply()
    shop.commit()


def add_parts(shop: Shop) -> None:
    """Add a part of every kind to the orders; the check that follows boots the project."""
    with mock.patch.object(adding, "boot"):
        for kind, told in KINDS.items():
            part_addition(Project.of(shop.root), part_of(kind, told, "orders"), print).apply()
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
    contracts = shop.shell(f"PYTHONPATH=src:$PYTHONPATH {BIN}/lint-imports --no-cache")
    assert "3 kept, 0 broken" in contracts
    assert "Success" in shop.mypy("src", "tests")
    assert "0 errors" in shop.python("pyright", f"--pythonpath={sys.executable}")


@pytest.mark.parametrize("seed", SEEDS)
def test_random_entities_live_from_add_to_remove(
    seed: int, tmp_path: Path, postgres: PostgresServer
) -> None:
    shop, entities = new_shop(tmp_path), random_entities(seed, EACH)
    shop.command("add", "--from", str(OF_THE_SHOP))
    shop.commit()
    add(shop, *entities)
    add_parts(shop)
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
