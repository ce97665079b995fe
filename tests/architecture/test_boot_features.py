"""Shows that features with missing requirements or unlisted modules do not start."""

import sys
from collections.abc import Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any

import pytest

from backstay.application import create_app
from backstay.core.feature import Feature, PersonalData
from backstay.core.wiring import BootError, Code, Flaw
from backstay.features import STANDARD
from backstay.testing import settings_with
from backstay.web.routes import Routes
from tests.architecture.booting import Faults, feature
from tests.architecture.tree import plant

ORDERS = """
from backstay.core.bus import handles
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY


class PlaceOrder(Command[None]):
    permission = SYSTEM_ONLY


@handles(PlaceOrder)
async def place_order(command: PlaceOrder) -> None: ...
"""
MANIFEST = """
from backstay.core.feature import Feature
from harbour.orders import commands

feature = Feature("orders", modules=(commands,))
"""
SENDING = """
from backstay.core.bus import handles
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from harbour.orders.commands import PlaceOrder


class OpenShop(Command[None]):
    permission = SYSTEM_ONLY


@handles(OpenShop)
async def open_shop(command: OpenShop) -> None: ...
"""
REACTING = """
from backstay.core.events import subscribes
from backstay.features.users.events import UserRegistered


@subscribes(UserRegistered)
def on_user_registered(event: UserRegistered) -> None: ...
"""
ROUTES = """
from backstay.web.routes import Routes

routes = Routes("/orders", tag="orders")
"""
UNLISTED = """
from types import ModuleType

from backstay.core.feature import Feature
from harbour.orders import events, routes

feature = Feature("orders", modules=(ModuleType("harbour.orders.other"),), requires=("users",))
"""
SHOP = """
from backstay.core.feature import Feature
from harbour.shop import commands

feature = Feature("shop", modules=(commands,), requires={requires})
"""


class Project:
    """A package of features in the working directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "harbour"
        self.plant("__init__.py", "")
        self.plant("orders/commands.py", ORDERS)

    def plant(self, module: str, code: str) -> None:
        plant(self._folder, module, code)

    def feature(self, name: str) -> Feature:
        invalidate_caches()
        found = import_module(f"harbour.{name}").feature
        assert isinstance(found, Feature)
        return found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield Project(tmp_path)
    for name in [each for each in sys.modules if each.partition(".")[0] == "harbour"]:
        del sys.modules[name]


def test_a_used_feature_must_be_required(project: Project, faults: Faults, tmp_path: Path) -> None:
    project.plant("orders/__init__.py", MANIFEST)
    project.plant("shop/commands.py", SENDING)
    project.plant("shop/__init__.py", SHOP.format(requires=()))
    orders, shop = project.feature("orders"), project.feature("shop")
    assert faults(orders, shop) == [
        Flaw(
            Code.FEATURE_REQUIRES_MISSING,
            "The feature shop uses PlaceOrder of orders, which it does not require.",
            'Add "orders" to `requires` of the manifest.',
            "harbour/shop/__init__.py:6",
        )
    ]
    project.plant("yard/commands.py", SENDING)
    project.plant("yard/__init__.py", SHOP.replace("shop", "yard").format(requires=("orders",)))
    settings = settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path)
    app = create_app(settings, [*STANDARD, orders, project.feature("yard")])
    app.state.backstay.passwords.close()


def test_a_sent_message_must_have_a_handler(project: Project, faults: Faults) -> None:
    project.plant("orders/__init__.py", MANIFEST)
    project.plant("shop/commands.py", SENDING)
    project.plant("shop/__init__.py", SHOP.format(requires=()))
    found = faults(project.feature("shop"))
    assert {Code.FEATURE_MESSAGE_UNHANDLED} <= {fault.code for fault in found}
    assert any("PlaceOrder, which nobody handles" in fault.problem for fault in found)


def test_modules_of_a_feature_folder_must_be_listed(project: Project, faults: Faults) -> None:
    project.plant("orders/__init__.py", UNLISTED)
    project.plant("orders/events.py", REACTING)
    project.plant("orders/routes.py", ROUTES)
    found = faults(project.feature("orders"))
    assert [(fault.code, fault.where) for fault in found] == [
        (Code.FEATURE_MODULE_NOT_LISTED, "harbour/orders/events.py:7"),
        (Code.ROUTE_NOT_LISTED, "harbour/orders/routes.py:5"),
        (Code.FEATURE_MODULE_NOT_LISTED, "harbour/orders/commands.py:12"),  # nobody imports it
    ]


def test_a_missing_package_is_told_without_its_consequences(
    project: Project, faults: Faults
) -> None:
    project.plant("orders/__init__.py", MANIFEST.replace(", modules=(commands,)", ""))
    (fault,) = faults(project.feature("orders"))
    assert fault.code is Code.FEATURE_PACKAGE
    assert fault.where.startswith("harbour/orders/__init__.py:")
    assert "The second argument is missing" in fault.problem
    assert fault.hint == 'Write Feature("orders", __name__).'


TABLE = """
from functools import partial, wraps

from sqlalchemy import func
from structlog import get_logger

log = get_logger()


class Proxy:
    def __getattr__(self, name: str):
        raise RuntimeError("nothing is there yet")


current = Proxy()
made = eval("lambda: 1", {})
wrapped = wraps(partial(print))(lambda: None)
wrapped.__module__ = __name__
wrapped.__handles__ = int
"""


def test_only_a_table_of_routes_is_taken_for_one(project: Project, faults: Faults) -> None:
    """A module may hold objects with any attribute (mocks), unset proxies, and tables of others."""
    project.plant("orders/__init__.py", UNLISTED.replace("events, routes", "model"))
    project.plant("orders/model.py", TABLE)
    found = faults(project.feature("orders"))
    assert [(fault.code, fault.where) for fault in found] == [
        (Code.FEATURE_MODULE_NOT_LISTED, "harbour/orders/model.py:18"),
        (Code.FEATURE_MODULE_NOT_LISTED, "harbour/orders/commands.py:12"),  # nobody imports it
    ]


def test_tests_beside_a_feature_do_not_belong_to_it(project: Project, tmp_path: Path) -> None:
    """Whether an application starts must not depend on whether tests are imported."""
    project.plant("orders/__init__.py", MANIFEST)
    project.plant("orders/tests/__init__.py", "")
    project.plant("orders/tests/test_orders.py", REACTING)
    project.plant("orders/conftest.py", ROUTES)
    orders = project.feature("orders")
    import_module("harbour.orders.tests.test_orders")
    import_module("harbour.orders.conftest")
    settings = settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path)
    create_app(settings, [*STANDARD, orders]).state.backstay.passwords.close()


TWO = """
from backstay.core.feature import Feature
from harbour.fleet import orders, shop

feature = Feature("orders", modules=(orders,))
shops = Feature("shop", modules=(shop,), requires=("orders",))
"""


def test_a_module_under_two_manifests_belongs_to_neither(project: Project, tmp_path: Path) -> None:
    project.plant("fleet/__init__.py", TWO)
    project.plant("fleet/orders.py", ORDERS)
    project.plant(
        "fleet/shop.py", SENDING.replace("harbour.orders.commands", "harbour.fleet.orders")
    )
    project.plant("fleet/start.py", "from harbour.fleet.shop import OpenShop")
    orders = project.feature("fleet")
    import_module("harbour.fleet.start")
    shops = sys.modules["harbour.fleet"].shops
    settings = settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path)
    create_app(settings, [*STANDARD, orders, shops]).state.backstay.passwords.close()


def test_a_requirement_is_refused_if_unknown_later_or_circular(faults: Faults) -> None:
    (typo,) = faults(feature(name="a", requires=["itmes"]))
    assert typo.code is Code.FEATURE_REQUIRES_UNKNOWN
    assert typo.problem.endswith("Did you mean items?")
    (late,) = faults(feature(name="a", requires=["b"]), feature(name="b"))
    assert late.code is Code.FEATURE_REQUIRES_LATER
    assert late.hint == "List b before a."


def test_a_circle_of_features_is_reported_once(faults: Faults) -> None:
    ring = [feature(name=n, requires=[m]) for n, m in (("a", "b"), ("b", "c"), ("c", "a"))]
    (fault,) = faults(*ring)
    assert fault.code is Code.FEATURE_REQUIRES_CIRCLE
    assert fault.problem == "Features require one another in a circle: a -> b -> c -> a."
    (own,) = faults(feature(name="a", requires=["a"]))
    assert own.problem.endswith("in a circle: a -> a.")


class ExportRigs(PersonalData):
    """A query without a handler."""


@pytest.mark.parametrize("personal_data", [{"rigs": ExportRigs}, {"rigs": int}])
def test_queries_of_personal_data_must_have_a_handler(faults: Faults, personal_data: Any) -> None:
    (fault,) = faults(feature(personal_data=personal_data))
    assert fault.code is Code.FEATURE_EXPORT


def test_two_features_may_not_export_the_same_kind(faults: Faults) -> None:
    items = next(each for each in STANDARD if each.name == "items")
    (fault,) = faults(feature(requires=("items",), personal_data=items.personal_data))
    assert fault.code is Code.FEATURE_EXPORT
    assert f"first at {items.place}" in fault.problem


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"modules": sys}, "`modules` of the feature rigs is no tuple"),
        ({"modules": ("rigs",)}, "`modules` of the feature rigs holds 'rigs'"),
        ({"routes": Routes("/rigs", tag="rigs")}, "`routes` of the feature rigs is no tuple"),
        ({"routes": (sys,)}, "`routes` of the feature rigs holds <module 'sys' (built-in)>"),
        ({"requires": "users"}, "`requires` of the feature rigs is no tuple"),
        ({"requires": (sys,)}, "`requires` of the feature rigs holds <module 'sys' (built-in)>"),
    ],
)
def test_manifest_fields_have_the_right_types(
    faults: Faults, said: dict[str, Any], what: str
) -> None:
    """Parentheses without a comma are no tuple, and a module is not the table that it holds."""
    (fault,) = faults(Feature("rigs", **said))
    assert fault.code is Code.FEATURE_SHAPE
    assert fault.where.startswith("tests/architecture/test_boot_features.py:")
    assert fault.problem.startswith(what)


def test_two_features_share_no_module(faults: Faults) -> None:
    one = feature(name="one")
    (fault,) = faults(one, Feature("two", modules=one.modules))
    assert fault.code is Code.FEATURE_MODULE_TWICE


def test_a_boot_error_prints_one_line_per_fault() -> None:
    made_up = Flaw(Code.FEATURE_TWICE, "It is said twice.", "Say it once.").of(feature)
    error = BootError([made_up, made_up])
    assert error.faults == (made_up,)
    assert str(error) == (
        f"feature.twice  tests/architecture/booting.py:{feature.__code__.co_firstlineno}"
        "  It is said twice. Say it once."
    )
