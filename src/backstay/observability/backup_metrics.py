"""The metrics of backups, which every process reads from the database."""

from datetime import datetime
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from backstay.core.backups import BackupState


class BackupMetrics:
    """The last backup of the cluster, whoever made it; nothing before the first."""

    def __init__(self, registry: CollectorRegistry) -> None:
        gauge = partial(Gauge, registry=registry, multiprocess_mode="mostrecent")
        self._interval = gauge(
            "backstay_backup_interval_seconds",
            "Time between two backups of the schedule, in seconds; 0 if there is none.",
        )
        self._state = gauge(
            "backstay_backup_last_state",
            "1 for what became of the last backup that was tried, 0 for the others.",
            ["state"],
        )
        for each in BackupState:
            self._state.labels(each.value)
        self._tried = gauge(
            "backstay_backup_last_try_timestamp_seconds",
            "When the last backup was tried, in seconds since 1970; 0 before the first.",
        )
        self._proven = gauge(
            "backstay_backup_last_proven_timestamp_seconds",
            "When the last proven backup was begun, in seconds since 1970; 0 before the first.",
        )
        self._proof = gauge(
            "backstay_backup_last_proof_timestamp_seconds",
            "When the last backup was proven, in seconds since 1970; 0 before the first.",
        )
        self._size = gauge(
            "backstay_backup_last_size_bytes", "Size of the last proven backup, as it is kept."
        )
        self._duration = gauge(
            "backstay_backup_last_duration_seconds",
            "Time that the last proven backup took with its proof, in seconds.",
        )

    def show(self, interval: int, latest: Any, proven: Any) -> None:
        """Record the latest backup that was tried, and the latest proven one."""
        self._interval.set(interval)
        state = latest.state if latest else ""
        for each in BackupState:
            self._state.labels(each.value).set(each.value == state)
        self._tried.set(_seconds(latest and latest.started_at))
        self._proven.set(_seconds(proven and proven.started_at))
        self._proof.set(_seconds(proven and proven.finished_at))
        self._size.set(proven.size if proven else 0)
        self._duration.set(proven.seconds if proven else 0)


def _seconds(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0
