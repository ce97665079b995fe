"""Packaged features are given to a project: one class and one table each, and back again."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.blueprints import ejecting
from backstay.blueprints.differing import differences
from backstay.blueprints.ejecting import eject, ejected_record, home_of, render_ejected, uneject
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.owning import eject_as_own, give_back
from backstay.blueprints.project import ProjectOptions, render_project
from backstay.blueprints.tree import Plan
from tests.architecture.tree import ROOT
from tests.blueprints.copies import on_copies
from tests.blueprints.projects import APPLICATION, Shop, generated
from tests.guides import run

ALL = ("access", "auth", "items", "mail", "rate_rules", "system", "tasks", "tiers", "users")
OPTIONS = ProjectOptions(name="shop")
COPY = "src/shop/ejected/backstay/features/users"
SHOWS = """
import pickle, sys
from pathlib import Path

sys.path.insert(0, "src")
import backstay.features.users.model as model
from backstay import FOUNDATION, UserRegistered
from backstay.db.base import Base
from backstay.features import users
from backstay.features.users.model import User
from shop.application import application

home = Path("src/shop/ejected/backstay/features/users").resolve()
assert Path(model.__file__).parent == home, model.__file__
assert User is model.User and pickle.loads(pickle.dumps(User)) is User
backstay = application.compose(application.load_settings())
assert [m.class_ for m in Base.registry.mappers if m.class_.__name__ == "User"] == [User]
assert [each for each in backstay.models if each.__tablename__ == "users"] == [User]
assert [each for each in FOUNDATION if each.name == "users"] == [users.feature]
assert sys.modules[UserRegistered.__module__].__file__ == str(home / "events.py")
print("one of each")
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A project with a copy of users."""
    made = Shop(tmp_path_factory.mktemp("shop"))
    told = made.backstay("eject", "users")
    assert f"written  {COPY}/model.py" in told
    made.commit()
    return made


def test_there_is_one_class_and_table_of_each(shop: Shop) -> None:
    done = shop.shell(f"{sys.executable} - <<'E'\n{SHOWS}E\n")
    assert done == "one of each\n"


def test_every_command_runs_the_copy(shop: Shop) -> None:
    routes = shop.root / COPY / "routes.py"
    text = routes.read_text()
    routes.write_text(text.replace('"/users"', '"/people"'))
    told = shop.backstay("routes")
    routes.write_text(text)
    assert "/api/v1/people/me" in told
    assert "/api/v1/users/me" in shop.backstay("routes")


def test_a_copy_that_is_found_late_keeps_from_starting(shop: Shop) -> None:
    late = (
        "import sys; sys.path.insert(0, sys.argv[1]); import backstay.features.users\n"
        "import shop.application; shop.application.application.asgi"
    )
    done = subprocess.run(
        [sys.executable, "-c", late, str(shop.root / "src")],
        cwd="/",
        env={"PYTHONPATH": str(ROOT / "src"), "HOME": str(shop.root), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("feature.ejected ")
    assert "was loaded before the copy was found" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_column_of_the_copy_becomes_the_projects_migration(shop: Shop) -> None:
    model = shop.root / COPY / "model.py"
    text = model.read_text()
    changed = text.replace(
        "    name: Mapped[str", "    nickname: Mapped[str | None]\n    name: Mapped[str"
    )
    assert changed != text
    model.write_text(changed)
    path = shop.backstay("db", "revision", "nickname").strip().splitlines()[-1]
    written = (shop.root / path).read_text()
    assert "nickname" in written
    assert "op.drop" not in written.partition("def downgrade")[0]
    assert "Applied shop_0001." in shop.backstay("db", "upgrade")
    assert "The database is current." in shop.backstay("db", "check")
    shop.git("checkout", "--", ".")
    shop.git("clean", "-fdq", "-e", "*.db*")


def test_what_differs_is_shown_and_kept_from_removal(shop: Shop) -> None:
    nothing = shop.backstay("diff", "users")
    assert nothing.count(": nothing.") == 2
    model = shop.root / COPY / "model.py"
    text = model.read_text()
    model.write_text(f"{text}# ours\n")
    told = shop.backstay("diff", "users")
    assert "+# ours\n" in told
    refused = shop.backstay("uneject", "users", "--force", code=1)
    assert f"The project has changed {COPY}/model.py." in refused
    model.write_text(text)
    (shop.root / COPY / "events2.py").write_text("")
    assert "events2.py" in shop.backstay("uneject", "users", "--force", code=1)
    (shop.root / COPY / "events2.py").unlink()


def test_a_dirty_tree_is_refused_unless_told(shop: Shop) -> None:
    (shop.root / "notes.txt").write_text("mine")
    refused = shop.backstay("eject", "items", code=1)
    assert "Not committed: notes.txt" in refused
    shown = shop.backstay("eject", "items", "--dry-run")
    assert "+++ b/src/shop/ejected/backstay/features/items/model.py" in shown
    (shop.root / "notes.txt").unlink()
    assert shop.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("eject", "user"), "Did you mean users?"),
        (("eject", "../users"), "Backstay has no feature '../users'"),
        (("diff", "items"), "The project has no copy of items. Ejected: users."),
        (("uneject", "items"), "To make one: backstay eject items"),
        (("eject", "auth", "--as-own"), "it belongs to the foundation"),
        (("eject", "mail", "--as-own"), "backstay/__init__.py imports it"),
        (("eject", "rate_rules", "--as-own"), "it belongs to the foundation"),
        (("eject", "tiers", "--as-own"), "backstay/cli/create_tier.py imports it"),
        (("eject", "tasks", "--as-own"), "it uses backstay.core.jobs, which is no public name"),
        (("eject", "users", "--as-own"), "users is ejected already"),
        (("eject",), "backstay eject users"),
    ],
)
def test_what_cannot_be_is_refused(shop: Shop, command: tuple[str, ...], reason: str) -> None:
    code = 1 if reason.endswith("already") else 2
    assert reason in " ".join(shop.command(*command, code=code).split())


def test_what_was_ejected_is_given_back(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    before = shop.files()
    for feature in ("items", "mail"):
        shop.command("eject", feature)
        shop.commit()
    for feature in ("items", "mail"):
        shop.command("uneject", feature)
        shop.commit()
    after = shop.files()
    kept = str(tmp_path / ".blueprints" / ".gitignore")
    assert after.pop(kept)
    assert after == before


def test_all_features_together_are_typed_and_boot(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    root, home = home_of(tmp_path)
    for feature in ALL:
        eject(root, home, feature).plan.apply()
    assert "/api/v1/items" in shop.backstay("routes")
    checked = shop.mypy("src", "tests")
    assert "Success: no issues found in " in checked


def test_types_hold_where_an_application_lists_packaged_features(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    text = APPLICATION.replace("STANDARD", "FOUNDATION").replace(
        "*features_of", "items.feature, *features_of"
    )
    listed = text.replace("\napplication", "from backstay.features import items\n\napplication")
    (tmp_path / "src" / "shop" / "application.py").write_text(listed)
    eject(*home_of(tmp_path), "users").plan.apply()
    assert "Success: no issues found in " in shop.mypy("src", "tests")
    shop.python("pyright", f"--pythonpath={sys.executable}")
    assert "/api/v1/items" in shop.backstay("routes")


def test_a_copy_that_the_application_leaves_out_is_told(tmp_path: Path) -> None:
    root = generated(tmp_path, ProjectOptions(name="shop", without=("mail",)))
    made = eject(*home_of(root), "mail")
    assert made.left == ("list mail.feature in the application, which leaves it out.",)


def test_a_project_keeps_its_own_templates(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    mine = tmp_path / "src" / "shop" / "templates" / "mail" / "layout.html"
    mine.parent.mkdir(parents=True)
    mine.write_text("{% block content %}{% endblock %}")
    root, home = home_of(tmp_path)
    made = eject(root, home, "mail")
    made.plan.apply()
    assert made.left == (
        "src/shop/templates/mail/layout.html stays as it is: it is yours already.",
    )
    assert mine.read_text() == "{% block content %}{% endblock %}"
    shop.commit()
    uneject(root, ejected_record(root, "mail")).plan.apply()
    assert [path.name for path in mine.parent.iterdir()] == ["layout.html"]


def test_the_rendering_is_what_is_installed() -> None:
    options = {"package": "shop", "folder": "src/shop", "templates": "src/shop/templates"}
    rendered = render_ejected("users", options)
    packaged = ROOT / "src" / "backstay" / "features" / "users"
    assert rendered[f"{COPY}/model.py"] == (packaged / "model.py").read_text("utf-8")
    assert len(rendered) == 1 + len(list(packaged.rglob("*.py")))


def test_what_both_changed_is_shown_and_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Shop(tmp_path)
    root, home = home_of(tmp_path)
    eject(root, home, "users").plan.apply()
    model, events = root / COPY / "model.py", root / COPY / "events.py"
    model.write_text(f"{model.read_text()}# ours\n")
    release = tmp_path / "release"
    shutil.copytree(ROOT / "src" / "backstay", release, ignore=shutil.ignore_patterns("*.pyc"))
    theirs = release / "features" / "users"
    for name in ("model.py", "events.py"):
        (theirs / name).write_text(f"# theirs\n{(theirs / name).read_text()}")
    (theirs / "settings.py").write_text("new = 1\n")
    monkeypatch.setattr(ejecting, "_CODE", release)
    found = differences(root, "users")
    assert found.of_backstay.count("+# theirs\n") == 2
    assert "+new = 1\n" in found.of_backstay
    assert found.of_the_project.count("\n+") == 2
    plan = eject(root, home, "users").plan
    assert plan.conflicts == ()
    plan.apply()
    merged = model.read_text()
    assert (merged[:9], merged[-7:]) == ("# theirs\n", "# ours\n"[-7:])
    assert events.read_text().startswith("# theirs\n")
    assert differences(root, "users").of_backstay == ""
    with pytest.raises(BlueprintError, match=r"users/model\.py\. Nothing was removed"):
        uneject(root, ejected_record(root, "users"))


def test_a_copy_as_own_is_a_feature_of_the_project(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    Plan.of(root, render_project(OPTIONS), OPTIONS.record).apply()
    before = {path: path.read_text() for path in root.rglob("*.py")}
    eject_as_own(*home_of(root), "items").plan.apply()
    shown = run(root, "backstay", "routes")
    assert shown.count("/api/v1/items") > 5
    loaded = (
        "import sys; sys.path.insert(0, 'src'); import shop.application as a; "
        "a.application.create_app(a.application.load_settings()); "
        "print('shop.features.items' in sys.modules, 'backstay.features.items' in sys.modules)"
    )
    (root / "loaded.py").write_text(loaded)
    assert run(root, "loaded") == "True False\n"
    (root / "loaded.py").unlink()
    run(root, "ruff", "check", "src")
    run(root, "ruff", "format", "--check", "src")
    give_back(root, ejected_record(root, "items")).plan.apply()
    assert {path: path.read_text() for path in root.rglob("*.py")} == before


def test_tests_of_the_package_pass_on_copies(tmp_path: Path) -> None:
    done = on_copies(tmp_path, "-n", "0", "--database=sqlite", "tests/features/items/test_items.py")
    assert done.returncode == 0


def test_a_folder_without_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BlueprintError, match="is in no project"):
        home_of(tmp_path)
