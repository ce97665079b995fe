"""Shows which projects can have a copy of a packaged feature as their own."""

from pathlib import Path

from backstay.blueprints.ejecting import home_of
from backstay.blueprints.owning import eject_as_own
from backstay.blueprints.project import ProjectOptions, render_project
from backstay.blueprints.tree import Plan


def test_the_generated_list_of_features_does_not_count(tmp_path: Path) -> None:
    options = ProjectOptions(name="shop", without=("mail", "tasks"))
    Plan.of(tmp_path, render_project(options), options.record).apply()
    application = tmp_path / "src/shop/application.py"
    assert "items" in application.read_text()
    eject_as_own(*home_of(tmp_path), "items").plan.apply()
    assert "items" not in application.read_text()
