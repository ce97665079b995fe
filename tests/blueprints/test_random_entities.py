"""Random entities are generated, migrated, typed, tested, changed and removed.

BLUEPRINTS says how many; `make blueprints` asks for 200.
"""

import os
import sys
from pathlib import Path

import pytest

from backstay.blueprints.entities.adding import addition
from backstay.blueprints.entities.existing import Project
from backstay.blueprints.words import plural, snake
from backstay.testing.postgres_server import PostgresServer
from tests.blueprints.projects import Shop
from tests.blueprints.random_entities import random_entities

EACH = 8
SEEDS = range(5, 5 + max(1, int(os.environ.get("BLUEPRINTS", EACH)) // EACH))


@pytest.mark.parametrize("seed", SEEDS)
def test_random_entities_live_from_add_to_remove(
    seed: int, tmp_path: Path, postgres: PostgresServer
) -> None:
    shop = Shop(tmp_path / "shop")
    entities = random_entities(seed, EACH)
    addition(Project.of(shop.root), entities, print).plan.apply()
    shop.commit()
    urls = [f"sqlite:///{tmp_path / 'shop.db'}", postgres.create_database()]
    shop.migrate(*urls)
    shop.mypy(".")
    shop.python("pyright", "--pythonpath", sys.executable)
    assert " passed" in shop.python("pytest", "-n0", "tests")

    first, last = entities[0].name, entities[-1]
    told = shop.backstay("add", first, "further:int=7", "remarks_more:text?", DB_URL=urls[0])
    assert "0002_change" in told
    shop.commit()
    shop.python("pytest", "-n0", f"tests/test_{plural(snake(first))}.py")
    shop.backstay("remove", last.name, DB_URL=urls[0])
    shop.commit()
    shop.migrate(*urls)
    assert not (shop.root / f"src/shop/features/{last.plural}/model.py").exists()
    postgres.drop_database(urls[1])
