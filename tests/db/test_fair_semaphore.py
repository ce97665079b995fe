"""Shows that no caller takes every slot of a pool, and that no slot is lost."""

import asyncio
import gc
from collections.abc import Hashable

import pytest

from backstay.core.errors import DatabaseUnavailable
from backstay.db.fair_semaphore import FairSemaphore
from backstay.db.faults import ShareInUse
from backstay.testing.waiting import LIMIT, eventually

pytestmark = pytest.mark.anyio


class SlotHolder:
    """Holds a slot until `leave` is called."""

    def __init__(
        self, semaphore: FairSemaphore, who: Hashable | None, order: list["SlotHolder"]
    ) -> None:
        self._leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(semaphore, who, order))

    async def _visit(
        self, semaphore: FairSemaphore, who: Hashable | None, order: list["SlotHolder"]
    ) -> None:
        async with semaphore.of(who):
            order.append(self)
            await self._leave.wait()

    async def leave(self) -> None:
        self._leave.set()
        await self.task


@pytest.fixture
def inside() -> list[SlotHolder]:
    """The holders in the order in which they got a slot."""
    return []


async def settled() -> None:
    """Wait until every caller that can get a slot has one."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_other_callers_overtake_one_at_its_share(inside: list[SlotHolder]) -> None:
    semaphore = FairSemaphore(4, LIMIT, each=2)
    greedy = [SlotHolder(semaphore, "ann", inside) for _ in range(10)]
    await settled()
    other, system = SlotHolder(semaphore, "ben", inside), SlotHolder(semaphore, None, inside)
    await settled()
    assert inside == [*greedy[:2], other, system]
    for each in (*greedy, other, system):
        await each.leave()
    assert inside == [*greedy[:2], other, system, *greedy[2:]]


@pytest.mark.parametrize("each", [1, 3, 100, None])
async def test_one_caller_never_takes_every_slot(
    inside: list[SlotHolder], each: int | None
) -> None:
    semaphore = FairSemaphore(3, LIMIT, each)
    greedy = [SlotHolder(semaphore, "ann", inside) for _ in range(10)]
    await settled()
    assert len(inside) == min(each or 2, 2)
    other = SlotHolder(semaphore, "ben", inside)
    await settled()
    assert inside[-1] is other
    for visitor in (other, *greedy):
        await visitor.leave()


async def test_a_single_slot_is_passed_on_fairly(inside: list[SlotHolder]) -> None:
    semaphore = FairSemaphore(1, LIMIT, each=5)
    ann, again, ben = (SlotHolder(semaphore, name, inside) for name in ("ann", "ann", "ben"))
    await settled()
    assert inside == [ann]
    for visitor in (ann, ben, again):
        await visitor.leave()
    assert inside == [ann, ben, again]


async def test_only_a_caller_over_its_share_gets_share_in_use(
    inside: list[SlotHolder],
) -> None:
    semaphore = FairSemaphore(2, 0.01, each=1)
    first = SlotHolder(semaphore, "ann", inside)
    await settled()
    with pytest.raises(ShareInUse, match="too many requests under way") as told:
        async with semaphore.of("ann"):
            pass
    assert int(told.value.headers["Retry-After"]) >= 1
    second = SlotHolder(semaphore, "ben", inside)
    await settled()
    with pytest.raises(DatabaseUnavailable, match="Every database connection") as busy:
        async with semaphore.of("cem"):
            pass
    assert not isinstance(busy.value, ShareInUse)
    for visitor in (first, second):
        await visitor.leave()
    async with semaphore.of("cem"), semaphore.of(None):
        pass


async def test_a_cancelled_waiter_takes_no_slot(inside: list[SlotHolder]) -> None:
    semaphore = FairSemaphore(2, LIMIT, each=1)
    visitors = [SlotHolder(semaphore, name, inside) for name in ("ann", "ben", "ann", "cem", "cem")]
    await settled()
    for waiting in visitors[2:]:
        waiting.task.cancel()
    await eventually(lambda: all(each.task.done() for each in visitors[2:]))
    for visitor in visitors[:2]:
        await visitor.leave()
    async with semaphore.of("ann"), semaphore.of("cem"):
        pass


async def test_callers_without_a_slot_are_forgotten(inside: list[SlotHolder]) -> None:
    semaphore = FairSemaphore(3, LIMIT, each=1)
    for number in range(100):
        async with semaphore.of(number):
            pass
    staying = [SlotHolder(semaphore, "ann", inside), SlotHolder(semaphore, "ann", inside)]
    await settled()
    gc.collect()
    assert list(semaphore._shares) == ["ann"]
    for visitor in staying:
        await visitor.leave()
    del visitor, staying[:], inside[:]
    gc.collect()
    assert not semaphore._shares
