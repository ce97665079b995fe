"""The commands of the guide "Own a feature" work as they are printed."""

import re
from pathlib import Path

from backstay.blueprints.project import ProjectOptions, render_project
from backstay.blueprints.tree import Plan
from tests.blueprints.projects import Shop
from tests.guides import page

COMMANDS = "\n".join(re.findall(r"^```sh\n(.*?)^```", page("own-a-feature"), re.M | re.S))


def test_every_printed_command_works_in_order(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.git("rm", "-rq", ".")
    options = ProjectOptions(name="shop")
    Plan.of(tmp_path, render_project(options), options.record).apply()
    shop.commit()
    shop.git("config", "user.name", "Ann")
    shop.git("config", "user.email", "ann@example.org")
    told = shop.follow(COMMANDS)
    assert told.count("Run next:") == 3
    assert (tmp_path / "src/shop/features/items/model.py").is_file()
    assert not (tmp_path / "src/shop/ejected").exists()
    assert "/api/v1/items" in shop.backstay("routes")
