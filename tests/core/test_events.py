"""Shows whom an event reaches, also when it was stored meanwhile."""

from typing import Any, ClassVar
from uuid import UUID, uuid4

from backstay.core.events import Event, Subscriptions, subscribes
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY


class TreePlanted(Event):
    aggregate: ClassVar[str] = "tree_id"

    tree_id: UUID


class OakPlanted(TreePlanted):
    rings: int


class Water(Command[None]):
    permission = SYSTEM_ONLY

    kind: str


@subscribes(TreePlanted)
def water(event: TreePlanted) -> Command[Any]:
    return Water(kind=type(event).__name__)


def test_a_derived_event_reaches_subscribers_of_its_base_class() -> None:
    subscriptions = Subscriptions([water])
    event = OakPlanted(tree_id=uuid4(), rings=1)
    ((name, react),) = subscriptions.of(event)
    assert react(event) == Water(kind="OakPlanted")
    stored = event.model_dump(mode="json")
    answer = subscriptions.answer(name, "OakPlanted", stored)
    assert answer == Water(kind="OakPlanted")
