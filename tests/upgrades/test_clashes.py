"""Shows that every name which a release and a project both have is told before it is installed."""

from pathlib import Path

from backstay import __version__
from backstay.core.wiring import Code
from tests.upgrades.grown import begun
from tests.upgrades.invented import Releases
from tests.upgrades.inventions import (
    Entry,
    command_added,
    feature_added,
    member_renamed,
    module_added,
    setting_added,
    table_of_users,
)

FILES = {
    "src/shop/features/rooms/__init__.py": """
from backstay import Feature

feature = Feature("rooms")
""",
    "src/shop/features/boxes/__init__.py": """
from backstay import Feature, every

from . import model as model
from .messages import CountItems, ExportBoxes

feature = Feature(
    "boxes",
    __name__,
    schedule=(every("1h", CountItems(), name="count_items"),),
    tasks={"count_items": CountItems},
    personal_data={"counted": ExportBoxes},
)
""",
    "src/shop/features/boxes/messages.py": """
from backstay import PUBLIC, SYSTEM_ONLY, Command, PermissionSpec, PersonalData, handles


class CountItems(Command[None]):
    permission = PUBLIC


@handles(CountItems)
async def count_items(command: CountItems) -> None: ...


class CountBoxes(Command[None]):
    permission = PermissionSpec("items", "count")


@handles(CountBoxes)
async def count_boxes(command: CountBoxes) -> None: ...


class ExportBoxes(PersonalData):
    permission = SYSTEM_ONLY


@handles(ExportBoxes)
async def export_boxes(query: ExportBoxes) -> tuple[()]:
    return ()
""",
    "src/shop/features/boxes/model.py": """
from backstay import Entity


class BoxBadge(Entity):
    __tablename__ = "badges"
""",
    "src/shop/features/boxes/events.py": """
from typing import ClassVar

from backstay import Event, subscribes


class ItemCounted(Event):
    aggregate: ClassVar[str] = "size"

    size: int


@subscribes(Event)
def listen(event: Event) -> None: ...
""",
    "src/shop/features/boxes/routes.py": """
from backstay import Routes

from .messages import CountBoxes

routes = Routes("/items", tag="boxes", about="Boxes.")
routes.post("/counted", CountBoxes)
""",
    "src/shop/roles.py": """
from backstay import RoleSpec

ROLES = (RoleSpec(name="keeper", level=10),)
""",
    "src/shop/settings.py": """
from backstay import SettingsGroup


class ShopSettings(SettingsGroup):
    env_prefix = "SHOP_"

    motto: str = ""
""",
}
"""A project whose names no release had so far."""
TOLD = {
    Code.FEATURE_TWICE: ("src/shop/features/rooms/", "backstay/features/rooms/"),
    Code.TABLE_TWICE: ("src/shop/features/boxes/model.py:", "backstay/features/users/model.py:"),
    Code.SETTINGS_VARIABLE_TWICE: ("src/shop/settings.py:", "backstay/settings/groups/app.py:"),
    Code.COMMAND_NAME_TWICE: ("boxes/messages.py:", "backstay/features/items/commands.py:"),
    Code.PERMISSION_TWICE: ("boxes/messages.py:", "backstay/features/items/commands.py:"),
    Code.ROUTE_TWICE: ("src/shop/features/boxes/routes.py:", "backstay/features/items/routes.py:"),
    Code.ROLE_TWICE: ("src/shop/roles.py:", "is the package's own"),
    Code.SCHEDULE_TWICE: ("src/shop/features/boxes/", "backstay/features/items/__init__.py:"),
    Code.TASK_TWICE: ("src/shop/features/boxes/", "backstay/features/items/__init__.py:"),
    Code.EVENT_TWICE: ("src/shop/features/boxes/", "backstay/features/items/events.py:"),
    Code.FEATURE_EXPORT: ("src/shop/features/boxes/", "backstay/features/items/__init__.py:"),
}
"""By code: what the line has, of the project and of the release."""


def manifest_grown(releases: Releases, release: str) -> Entry:
    """A schedule, a task, an export, a role and another name of a setting."""
    init = Path("features/items/__init__.py")
    releases.replace(init, "import Feature\n", f"import Feature, every\n{_IMPORT}")
    releases.replace(init, '{"items": ExportItems}', f'{{"items": ExportItems, {_MORE}')
    roles = Path("composition/roles.py")
    releases.replace(roles, "role.name in {ADMIN, USER}", 'role.name in {ADMIN, USER, "keeper"}')
    releases.replace(
        Path("settings/groups/app.py"),
        "    motto: str =",
        '    motto: Annotated[str, Setting(also="SHOP_MOTTO")] =',
    )
    return Entry("Added", "A schedule, a task, an export and a role.")


_IMPORT = "from backstay.features.items.commands import CountItems\n"
_MORE = """"counted": ExportItems},
    schedule=(every("1h", CountItems(), name="count_items"),),
    tasks={"count_items": CountItems}"""


def test_all_names_that_clash_are_told_at_once(tmp_path: Path) -> None:
    releases = Releases(tmp_path / "releases")
    shop = begun(tmp_path / "project", releases.wheels[__version__], "shop")
    for path, text in FILES.items():
        (shop.root / path).parent.mkdir(parents=True, exist_ok=True)
        (shop.root / path).write_text(f'"""Ours."""\n{text}', "utf-8")
    shop.commit()
    shop.call("routes")  # the project starts
    inventions = (
        setting_added,
        member_renamed,
        table_of_users,
        command_added,
        module_added,
        feature_added,
        manifest_grown,
    )
    new = releases.release(*inventions)
    said = shop.upgrade(releases.wheels[new], "--check", code=1).errors
    assert f"The project does not start with Backstay {new}, so nothing was changed" in said
    lines = [line for line in said.splitlines() if ".twice" in line or "_twice" in line]
    for code, places in TOLD.items():
        found = [line for line in said.splitlines() if line.startswith(code)]
        assert len(found) == 1, f"{code}\n{said}"
        assert all(place in found[0] for place in places), found
    assert len(lines) == len(TOLD) - 1, said
    assert "/tmp" not in said.partition("nothing was changed")[2]
    assert shop.installed() == __version__
    assert shop.git("status", "--porcelain") == ""
