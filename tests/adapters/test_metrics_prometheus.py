"""Shows that the metrics of several workers tell of the living only, where it is about state."""

import os
import subprocess
import sys
from pathlib import Path

WORKER = """
from backstay.adapters.metrics_prometheus import PrometheusMetrics
metrics = PrometheusMetrics()
for up in {states}:
    metrics.principal_channel(up)
    print(metrics.exposition().decode())
"""


def test_one_worker_that_hears_nothing_is_seen_until_it_is_gone(tmp_path: Path) -> None:
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
