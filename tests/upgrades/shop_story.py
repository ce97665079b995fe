"""A shop: entities that refer to one another, with parts, and two ejected features."""

import json

from tests.upgrades.grown import Grown
from tests.upgrades.story import (
    GOAL,
    HAND,
    LABELS,
    TEST,
    Story,
    appended,
    changed,
    command,
    together,
    written,
)

_ENTITIES = [
    {
        "name": "Customer",
        "owned": True,
        "soft_delete": True,
        "attributes": [
            {"name": "name", "type": "string", "length": 200},
            {"name": "email", "type": "string", "length": 254, "unique": True},
        ],
    },
    {
        "name": "Order",
        "owned": True,
        "attributes": [
            {"name": "customer", "references": "Customer"},
            {"name": "status", "values": ["placed", "paid"]},
            {"name": "amount", "type": "money"},
        ],
        "transitions": ["pay"],
        "children": [
            {"name": "lines", "attributes": [{"name": "article", "type": "string", "length": 100}]}
        ],
    },
]


def _entities(project: Grown) -> None:
    path = project.root / "entities.json"
    path.write_text(json.dumps(_ENTITIES), "utf-8")
    project.commit()
    project.call("add", "--from", "entities.json")
    project.commit()


_ORDERS = "src/shop/features/orders"
_USERS = "src/shop/ejected/backstay/features/users"
_ITEMS = "src/shop/ejected/backstay/features/items"
_SELECT = 'select = ["A", "ANN", "ASYNC", "B", "E", "F", "I", "N"'
_SELECTED = 'select = ["A", "ANN", "ASYNC", "B", "D", "E", "F", "I", "N"'

SHOP = Story(
    "shop",
    (),
    together(
        _entities,
        command("add", "job", "SendReceipt", "--to", "orders"),
        command("add", "webhook", "Payment", "--to", "orders"),
        command("eject", "users"),
        command("eject", "items"),
    ),
    together(
        written("src/shop/labels.py", LABELS),
        appended(f"{_ORDERS}/queries.py", HAND),
        appended(f"{_ITEMS}/queries.py", HAND),
        changed(f"{_ORDERS}/model.py", "    amount:", "    gift: Mapped[bool | None]\n    amount:"),
        changed(f"{_ORDERS}/parts/send_receipt.py", 'log.info("send', 'log.warning("ours: send'),
        changed(f"{_USERS}/queries/accounts.py", '"""Your own profile, with', '"""Mine, with'),
        changed(f"{_USERS}/model.py", '"""A user. E-mail', '"""A customer of ours. E-mail'),
        appended("tests/test_application.py", TEST),
        changed("README.md", "# Shop\n", "# Shop of ropes\n\nOurs is the best.\n"),
        changed("pyproject.toml", 'version = "0.1.0"\n', 'version = "7.0.0"  # lucky\n'),
        changed("pyproject.toml", _SELECT, _SELECTED),
        appended("Makefile", GOAL.format("shop")),
        command("db", "revision", "gifts"),
    ),
    between={
        1: (command("add", "Order", "note:str:80?"),),
        3: (
            appended(f"{_ORDERS}/schemas.py", "\n# notes are for the packers\n"),
            changed(f"{_ITEMS}/model.py", '"""An item that', '"""A thing that'),
        ),
        4: (command("add", "Ticket", "title:str:100", "--owned"),),
        6: (
            changed(
                "src/shop/features/tickets/model.py", '"""A ticket', '"""A complaint: a ticket'
            ),
            command("add", "report", "OrderCount", "--to", "orders"),
        ),
        8: (changed(f"{_USERS}/model.py", '"""A customer of ours.', '"""A customer.'),),
    },
    settle={
        3: {"pyproject.toml": changed("pyproject.toml", '"B", "D", "E"', '"B", "C4", "D", "E"')},
    },
)
"""Everything: entities that refer to one another, parts, two ejected features."""
