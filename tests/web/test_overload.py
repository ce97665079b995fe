"""Shows when a worker refuses requests, by its clock; the layer is shown in test_shedding.py."""

import asyncio
import time
from collections import Counter

import pytest
from structlog.testing import capture_logs

from backstay.testing.waiting import eventually
from backstay.web.overload import (
    FEWEST,
    IDLE_TURN,
    INTERVAL,
    LOG_SECONDS,
    SAMPLES,
    Cohort,
    Shedder,
)
from tests.clocks import StandingClock

pytestmark = pytest.mark.anyio

MAX_WAIT = 1.0
BUSY, IDLE = 0.01, IDLE_TURN / 2


class Worker:
    """A worker whose clock and event loop are moved by the test."""

    def __init__(self) -> None:
        self.clock = StandingClock()
        self.refused = 0
        self.shedder = Shedder(MAX_WAIT, self._shed, self.clock)
        self.in_flight: list[tuple[Cohort, str]] = []

    def _shed(self) -> None:
        self.refused += 1

    def take(self, count: int, client: str = "one") -> None:
        self.in_flight += [(self.shedder.enter(client), client) for _ in range(count)]

    def finish(self, count: int) -> None:
        for _ in range(count):
            self.shedder.leave(*self.in_flight.pop(0))

    def turn(self, seconds: float, *, turns: int = SAMPLES, finished: int = 0) -> None:
        """An interval of equally long turns of the event loop."""
        self.finish(finished)
        for _ in range(turns):
            self.clock.now += max(seconds, INTERVAL / turns * 1.01)
            self.shedder.note_turn(seconds)

    def is_full_for(self, client: str) -> bool:
        return self.shedder.is_watching and self.shedder.refuses(client)


@pytest.fixture
def worker() -> Worker:
    return Worker()


async def test_nothing_is_refused_while_the_loop_has_time(worker: Worker) -> None:
    worker.take(10_000)
    for _ in range(5):
        worker.turn(IDLE, turns=2)
        worker.turn(BUSY, turns=1)
    assert not worker.is_full_for("one")


async def test_a_standing_queue_limits_what_is_in_flight(worker: Worker) -> None:
    worker.take(200)
    worker.turn(BUSY, finished=20)
    assert worker.shedder.limit == pytest.approx(198, abs=2)  # 20 in 0.101 s
    assert worker.is_full_for("one")
    worker.finish(180 - 99)
    assert worker.shedder.count == 99
    worker.turn(BUSY, turns=1)
    assert worker.is_full_for("one")
    worker.finish(10)
    assert not worker.is_full_for("one")


async def test_idle_turns_end_the_refusals(worker: Worker) -> None:
    worker.take(200)
    worker.turn(BUSY)
    assert worker.is_full_for("one")
    worker.turn(IDLE)
    assert not worker.is_full_for("one")


async def test_a_client_with_few_requests_is_not_shut_out(worker: Worker) -> None:
    worker.take(150, "many")
    worker.turn(BUSY, finished=20)
    assert worker.shedder.limit // 2 < worker.shedder.count < worker.shedder.limit
    assert worker.is_full_for("many")
    assert not worker.is_full_for("few")
    worker.take(64, "few")
    assert not worker.is_full_for("third")
    assert worker.is_full_for("few") is (worker.shedder.count // 2 <= 64)


async def test_beyond_the_limit_all_clients_are_refused(worker: Worker) -> None:
    worker.take(300, "many")
    worker.turn(BUSY, finished=20)
    assert worker.is_full_for("few")


async def test_few_in_flight_are_never_too_many(worker: Worker) -> None:
    worker.take(FEWEST)
    worker.turn(10.0, turns=SAMPLES)
    worker.finish(1)
    assert not worker.is_full_for("one")
    worker.turn(10.0, turns=1)
    assert not worker.shedder.is_watching


async def test_one_turn_of_blocking_code_refuses_nothing(worker: Worker) -> None:
    worker.take(100)
    worker.turn(30 * INTERVAL, turns=1)
    assert not worker.is_full_for("one")


async def test_requests_that_wait_for_long_stop_counting(worker: Worker) -> None:
    worker.take(500)
    worker.turn(BUSY)
    assert worker.is_full_for("one")
    for _ in range(2):
        worker.clock.now += MAX_WAIT
        worker.turn(BUSY, turns=1)
    assert worker.shedder.count == 0
    worker.take(FEWEST - 1)
    worker.turn(BUSY)
    assert not worker.is_full_for("one")


async def test_a_crowd_within_one_turn_is_refused(worker: Worker) -> None:
    worker.take(200)
    worker.turn(BUSY, finished=20)
    worker.turn(IDLE)
    worker.take(1000)
    assert not worker.is_full_for("one")
    worker.clock.now += 1.1 * INTERVAL  # and the turn goes on
    assert worker.is_full_for("one")


async def test_nothing_is_left_of_requests_that_ended(worker: Worker) -> None:
    worker.take(20, "one")
    worker.turn(BUSY)
    worker.clock.now += MAX_WAIT
    worker.turn(BUSY, turns=1)
    worker.take(20, "two")
    cohorts = {cohort for cohort, _ in worker.in_flight}
    assert len(cohorts) == 2
    worker.finish(40)
    assert [(cohort.count, cohort.clients) for cohort in cohorts] == [(0, {}), (0, {})]


async def test_refusals_are_logged_once_and_counted(worker: Worker) -> None:
    with capture_logs() as logs:
        for _ in range(3):
            worker.shedder.note_refused()
        worker.clock.now += LOG_SECONDS
        worker.shedder.note_refused()
    assert [each["refused"] for each in logs] == [1, 3]
    assert {each["log_level"] for each in logs} == {"warning"}
    assert worker.refused == 4


async def test_turns_of_a_real_loop_are_timed() -> None:
    shedder, is_over = Shedder(600, lambda: None), False

    async def spin() -> None:
        while not is_over:
            time.sleep(0.001)  # noqa: ASYNC251 - it is the load
            await asyncio.sleep(0)

    spinning = asyncio.create_task(spin())
    held = [shedder.enter("one") for _ in range(FEWEST)]

    async def refuses() -> bool:
        return shedder.refuses("one")

    await eventually(refuses)
    is_over = True
    await spinning

    async def admits() -> bool:
        return not shedder.refuses("one")

    await eventually(admits)
    for cohort in held:
        shedder.leave(cohort, "one")

    async def has_ended() -> bool:
        return not shedder.is_watching

    await eventually(has_ended)
    assert Counter(cohort.count for cohort in held) == {0: FEWEST}
