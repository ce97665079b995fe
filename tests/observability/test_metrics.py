"""Shows that metrics of several workers hold the state of living ones, and the counts of all."""

import os
import re
import subprocess
import sys
from pathlib import Path

from backstay.jobs.notify import BrokerNotifier
from backstay.observability.worker_metrics import exposition

WORKER = """
from backstay.observability.metrics import PrometheusMetrics
metrics = PrometheusMetrics()
for up in {states}:
    metrics.principal_channel(up)
    print(metrics.exposition().decode())
"""


def test_one_disconnected_worker_shows_until_it_is_gone(tmp_path: Path) -> None:
    def told(states: list[bool]) -> list[str]:
        ran = subprocess.run(
            [sys.executable, "-c", WORKER.format(states=states)],
            env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        lines = ran.stdout.splitlines()
        return [line.split()[1] for line in lines if line.startswith("backstay_principal_channel")]

    assert told([True, False]) == ["1.0", "0.0"]
    assert told([True]) == ["1.0"]


COUNTING = """
import os
from backstay.observability.metrics import PrometheusMetrics
from backstay.core.jobs import Backlog
metrics = PrometheusMetrics()
metrics.observe("GET", "/livez", 200, 0.003)
metrics.observe("GET", "/only/{pid}", 200, 0.2)
metrics.jobs.show([Backlog("mail", {number}, 1.0)])
metrics.principal_channel(True)
print(os.getpid())
"""


def test_counts_of_dead_workers_stay_in_few_files(tmp_path: Path) -> None:
    def count(number: int) -> None:
        subprocess.run(
            [sys.executable, "-c", COUNTING.format(number=number, pid=number)],
            env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            capture_output=True,
            check=True,
        )

    (tmp_path / "counter_999999999.db").touch()  # its worker was killed while it made the file
    seen = set()
    for number in range(1, 4):
        count(number)
        told = exposition(tmp_path).decode()
        seen.add(len(list(tmp_path.glob("*.db"))))
        livez = 'method="GET",route="/livez"'
        for line in (
            f'requests_total{{{livez},status="200"}} {number}.0',
            f"seconds_count{{{livez}}} {number}.0",
            f'seconds_bucket{{le="0.0025",{livez}}} 0.0',
            f'seconds_bucket{{le="0.005",{livez}}} {number}.0',
            'requests_total{method="GET",route="/only/1",status="200"} 1.0',
        ):
            assert line in told, told
        assert re.search(rf"^backstay_job.*{{.*mail.*}} {number}.0$", told, re.MULTILINE), told
        assert "backstay_principal_channel_up" not in told
        assert exposition(tmp_path).decode() == told
    assert len(seen) == 1


NUMBERED = """
import os, sys
from pathlib import Path
from backstay.observability.worker_metrics import claim_number
folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
print(claim_number(folder), claim_number(folder), flush=True)
sys.stdin.read()
"""


def test_a_worker_gets_the_number_of_a_dead_one(tmp_path: Path) -> None:
    def worker() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", NUMBERED],
            env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def number(process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        return process.stdout.readline()

    with worker() as first, worker() as second:
        numbers = {first: number(first), second: number(second)}
        assert sorted(numbers.values()) == ["1 1\n", "2 2\n"]
        first.kill()
        first.wait()
        with worker() as third:
            assert number(third) == numbers[first]
            third.kill()
        second.kill()


MEASURED = """
import asyncio
from backstay.observability.metrics import PrometheusMetrics
metrics = PrometheusMetrics()
metrics.in_flight = 2
async def measure():
    metrics.process.start("1", "shop", "2")
    metrics.process.stop()
asyncio.run(measure())
print(metrics.exposition().decode())
"""


def test_a_replaced_worker_leaves_its_cpu_time_only(tmp_path: Path) -> None:
    def measured() -> dict[str, float]:
        ran = subprocess.run(
            [sys.executable, "-c", MEASURED],
            env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        lines = [line for line in ran.stdout.splitlines() if line.startswith("backstay_")]
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}

    first, second = measured(), measured()
    cpu = 'backstay_process_cpu_seconds_total{worker="1"}'
    assert second[cpu] > first[cpu] > 0
    assert first.keys() == second.keys()
    assert second["backstay_http_requests_in_flight"] == 2
    assert 'backstay_process_start_time_seconds{worker="1"}' in second


def test_a_broker_is_up_until_a_connection_is_lost() -> None:
    told: list[tuple[str, bool]] = []
    notifier = BrokerNotifier("nats://127.0.0.1:1", lambda *each: told.append(each))
    notifier.complete_until(0)
    notifier.complete_until(1)
    notifier._note("sending", works=False)
    notifier.lost(OSError())
    notifier._note("sending", works=True)
    notifier.complete_until(2)
    assert told == [("nats", up) for up in (True, False, False, False, True)]
