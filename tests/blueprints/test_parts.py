"""`backstay add job …`: parts of features are written, work, and can be removed."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.blueprints.entities.adding import addition
from backstay.blueprints.entities.command_line import entity_of
from backstay.blueprints.entities.existing import Project
from backstay.blueprints.entities.removing import removal
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.kinds import KINDS as RENDERINGS
from backstay.blueprints.parts import adding, removing
from backstay.blueprints.parts.adding import part_addition
from backstay.blueprints.parts.description import IN_SNAKE, KINDS, Part, part_of
from backstay.blueprints.parts.removing import part_removal
from backstay.blueprints.parts.rendering import render
from backstay.blueprints.records import base_of, records
from backstay.blueprints.scratch import boot
from backstay.blueprints.tree import Action
from tests.blueprints.projects import Shop, new_shop

PARTS = "src/shop/features/orders/parts"
BARE = {"webhook": "Paid", "setting": "unpaid_days:int=14", "role": "manager"}


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with orders, without parts, which tests copy."""
    shop = new_shop(tmp_path_factory.mktemp("orders"))
    order, problems = entity_of(
        "Order", ["name:str:200", "amount:money=1"], owned=True, soft_delete=True
    )
    assert problems == []
    addition(Project.of(shop.root), [order], print).plan.apply()
    shop.commit()
    return shop.root


@pytest.fixture
def shop(orders: Path, tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop", copied=orders)


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy of a project is not booted: the test does so itself, once for all parts."""
    for module in (adding, removing):
        monkeypatch.setattr(module, "boot", lambda copy, features: None)


def add(shop: Shop, kind: str, told: str) -> None:
    part_addition(Project.of(shop.root), part_of(kind, told, "orders"), print).apply()


def meaning(shop: Shop) -> dict[str, str]:
    """What the project's files say, whatever their layout."""
    texts = shop.files().items()
    return {path: ast.dump(ast.parse(text)) for path, text in texts if path.endswith(".py")}


@pytest.mark.usefixtures("untried")
def test_all_parts_work_and_leave_nothing_behind(shop: Shop) -> None:
    """That they are typed and keep the rules is in `test_random_entities`, with all else."""
    before = meaning(shop)
    for kind, told in KINDS.items():
        add(shop, kind, told)
    shop.commit()
    for record in records(shop.root):  # as an upgrade renders them again
        for path, text in RENDERINGS[record.blueprint](shop.root, record).items():
            assert text == base_of(shop.root, path), path
    assert " passed" in shop.python("pytest", "-n0", "-q", "-k", "orders_", "tests")
    assert "SHOP_UNPAID_DAYS" in shop.backstay("config")
    for kind, told in reversed(list(KINDS.items())):
        part_removal(Project.of(shop.root), kind, told.partition(":")[0], print).apply()
    assert meaning(shop) == before


@pytest.mark.usefixtures("untried")
def test_a_project_without_settings_and_roles_gets_them(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    order, _ = entity_of("Order", ["name:str:200"], owned=True)
    addition(Project.of(shop.root), [order], print).plan.apply()
    for kind, told in BARE.items():
        add(shop, kind, told)
    application = (shop.root / "src/shop/application.py").read_text("utf-8")
    for given in ("settings=(ShopSettings,)", "roles=(MANAGER,)", "routers=(paid_router,)"):
        assert given in application
    assert "SHOP_PAID_SECRET" in shop.backstay("config")
    boot(shop.root, ["orders"])


@pytest.mark.usefixtures("untried")
def test_the_command_shows_a_diff_and_adds_once(shop: Shop) -> None:
    before = shop.files()
    shown = shop.command("add", "schedule", "CancelUnpaid", "--to", "orders", "--dry-run")
    assert '+    schedule=(cron("30 4 * * *", CancelUnpaid(), name="cancel_unpaid"),),' in shown
    assert shop.files() == before
    add(shop, "schedule", "CancelUnpaid")
    shop.commit()
    again = shop.command("add", "schedule", "CancelUnpaid", "--to", "orders")
    assert "Everything is there already." in again


@pytest.mark.usefixtures("untried")
def test_lines_of_a_person_are_kept(shop: Shop) -> None:
    add(shop, "job", "SendReceipt")
    path = shop.root / PARTS / "send_receipt.py"
    path.write_text(f"{path.read_text('utf-8')}\n\nMINE = 1\n")
    plan = part_addition(Project.of(shop.root), part_of("job", "SendReceipt", "orders"), print)
    assert {change.action for change in plan.changes} == {Action.KEEP}
    with pytest.raises(BlueprintError, match=r"send_receipt\.py has lines of yours"):
        part_removal(Project.of(shop.root), "job", "SendReceipt", print)
    with pytest.raises(BlueprintError, match=r"Remove it first: backstay remove job SendReceipt$"):
        removal(Project.of(shop.root), "Order", print)
    path.unlink()
    (shop.root / "src/shop/mine.py").write_text("import shop.features.orders.parts.send_receipt\n")
    with pytest.raises(BlueprintError, match=r"src/shop/mine\.py uses shop\.features"):
        part_removal(Project.of(shop.root), "job", "SendReceipt", print)


@pytest.mark.usefixtures("untried")
def test_what_has_no_certain_place_is_told(shop: Shop) -> None:
    path = shop.root / "src/shop/application.py"
    text = path.read_text("utf-8")
    path.write_text(text.replace("roles=ROLES,", "roles=ROLES,\n    routers=ROUTERS,"))
    before = shop.files()
    with pytest.raises(BlueprintError) as told:
        add(shop, "router", "Today")
    assert "src/shop/application.py has no place for this that is certain." in str(told.value)
    assert "import today_router` there yourself, and routers=(today_router,)" in str(told.value)
    assert shop.files() == before
    text = f"from shop.features.orders.parts.today import today_router\n{text}"
    path.write_text(text)
    add(shop, "router", "Today")
    assert path.read_text("utf-8") == text


@pytest.mark.usefixtures("untried")
def test_a_setting_gets_another_default_unless_a_person_changed_it(shop: Shop) -> None:
    path = shop.root / "src/shop/settings.py"
    add(shop, "setting", "unpaid_days:int=14")
    add(shop, "setting", "unpaid_days:int=20")
    text = path.read_text("utf-8")
    assert ("Field(20, " in text, "Field(14, " in text) == (True, False)
    path.write_text(text.replace("20, ", "20, ge=1, "))
    add(shop, "setting", "unpaid_days:int=20")
    with pytest.raises(BlueprintError, match="Write into the class ShopSettings:"):
        add(shop, "setting", "unpaid_days:int=21")
    path.write_text(f"{path.read_text('utf-8')}    paid_secret: int = 1\n")
    with pytest.raises(BlueprintError, match="has a field paid_secret already"):
        add(shop, "webhook", "Paid")


@pytest.mark.usefixtures("untried")
def test_names_and_features_that_are_taken_or_missing(shop: Shop) -> None:
    def refused(kind: str, told: str, feature: str = "orders") -> str:
        with pytest.raises(BlueprintError) as error:
            part_addition(Project.of(shop.root), part_of(kind, told, feature), print)
        return str(error.value)

    assert "There is no feature boats in src/shop/features. There are: orders." in refused(
        "job", "SendReceipt", "boats"
    )
    assert "queries.py has a class ExportOrders already" in refused("stream", "ExportOrders")
    add(shop, "job", "SendReceipt")
    assert "The job SendReceipt has src/shop/features" in refused("event", "SendReceipt")
    (shop.root / "src/shop/features/rafts").mkdir()
    (shop.root / "src/shop/features/rafts/__init__.py").write_text(
        'from backstay import Feature\n\nfeature = Feature("rafts", __name__)\n'
    )
    assert "is in orders already" in refused("job", "SendReceipt", "rafts")
    assert "rafts has no table in model.py" in refused("report", "RaftCount", "rafts")
    assert "rafts has no Resource" in refused("role", "rafter", "rafts")
    with pytest.raises(BlueprintError, match=r"There are: job SendReceipt\."):
        part_removal(Project.of(shop.root), "job", "SendMail", print)


@pytest.mark.parametrize(
    ("kind", "told", "reason"),
    [
        (
            "job",
            "send_receipt",
            "`send_receipt` cannot be the name of a job: write it like SendReceipt.",
        ),
        ("job", "../Send", "`../Send` cannot be the name of a job: write it like"),
        ("job", "", "An empty text cannot be the name of a job: write it like"),
        ("job", "Class", "a job: its module would be class, a Python keyword."),
        ("job", "None", "`None` cannot be the name of a job: it is a Python keyword."),
        ("job", "Command", "generated code uses it for something else."),
        ("job", "Log", "generated code uses it for something else."),
        ("job", "X" * 31, "it has more than 30 characters"),
        ("job", "SendMail:str", "a job has a name and no fields"),
        ("role", "admin", "it is a role of Backstay."),
        ("role", "Manager", "write it like manager"),
        ("setting", "days", "the type '' is none of str, int, float and bool"),
        ("setting", "days:int=x", "'x' is no int"),
        ("setting", 'days:str="', "is no str"),
        ("setting", "class:int", "`class` cannot be the name of a setting: it is a Python"),
    ],
)
def test_names_that_cannot_be_are_refused(kind: str, told: str, reason: str) -> None:
    with pytest.raises(BlueprintError) as error:
        part_of(kind, told, "orders")
    assert reason in str(error.value)
    assert error.value.exit_code == 2


def widest() -> Iterator[Part]:
    """Every kind of part with the longest names, and the types of settings."""
    found = {
        "feature_name": "o" * 30,
        "model": "M" * 30,
        "table": "t" * 30,
        "owner": "owner_id",
        "soft_delete": True,
        "columns": [["id", "UUID"]],
        "sample": None,
        "resource": "R" * 30,
        "resource_module": "shop.features.orders.schemas",
        "group": "ShopSettings",
        "group_module": "shop.settings",
        "prefix": "SHOP_",
    }
    for kind in KINDS:
        for name, type_, default in (("x" * 30, "int", "None"), ("a_b", "bool", "True")):
            given = name if kind in IN_SNAKE else name.title().replace("_", "")
            yield Part(
                kind=kind, name=given, feature="o" * 30, type=type_, default=default, found=found
            )


def test_what_is_rendered_is_formatted_and_linted(tmp_path: Path, orders: Path) -> None:
    shop = Shop(tmp_path / "shop", copied=orders)
    for number, part in enumerate(widest()):
        for path, text in render(part, "shop").items():
            target = shop.root / "tests" / str(number) / Path(path).name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    shop.python("ruff", "format", "--no-cache", "--check", "tests")
    mine = 'lint.isort.known-first-party=["shop"]'
    shop.python("ruff", "check", "--no-cache", "--ignore=E501", "--config", mine, "tests")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("job", "Send"), "name the kind of part, the part and its feature, as in: backstay add"),
        (("job", "--to", "orders"), "name the kind of part, the part and its feature, as in:"),
        (("boat", "Send", "--to", "orders"), "'boat' is no kind of part. There are: job, event,"),
    ],
)
def test_wrong_usage_is_explained(shop: Shop, arguments: tuple[str, ...], told: str) -> None:
    assert told in shop.command("add", *arguments, code=2)
