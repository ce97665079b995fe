"""Shows that alerts and dashboards ask for metrics, labels and values that there are."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]
from fastapi import FastAPI

from backstay.features.system.commands.maintenance import BeginMaintenance, EndMaintenance
from backstay.jobs.scheduler import Scheduler
from backstay.jobs.worker import Worker
from backstay.testing import ADMIN_EMAIL
from tests.features.steps import API, needs, register, sign_in
from tests.monitoring.dashboards import DEPLOY, FOLDER, texts
from tests.monitoring.queries import faults, plain, used_in
from tests.observability.known import known_metrics
from tests.observability.steps import samples_in

RULES = DEPLOY / "prometheus" / "rules" / "backstay.yaml"
OF_SERVICES = {
    *("backstay_redis_up", "backstay_redis_failed_commands_total", "backstay_broker_up"),
    *("backstay_redis_short_circuited_commands_total", "backstay_db_replica_lag_seconds"),
    "backstay_db_replica_lag_bytes",
}
"""Metrics of what a test of SQLite does not have; their names and labels are those that exist."""
OCCASIONAL = {"outcome", "check"}
"""Labels of which a test does not see each value."""

Known = dict[str, dict[str, set[str]]]


def alerts() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def queries() -> Iterator[tuple[str, str]]:
    """Each query of an alert or a panel, with where it stands."""
    for name, rule in alerts().items():
        yield name, rule["expr"]
    for file in sorted(FOLDER.glob("*.json")):
        for panel in json.loads(file.read_text("utf-8"))["panels"]:
            for target in panel["targets"]:
                yield f"{file.name}: {panel['title']}", plain(target["expr"])


async def scraped(client: httpx.AsyncClient, app: FastAPI) -> Known:
    """What a scrape shows after each kind of thing has happened once."""
    for password in ("wrong" * 3, None):
        await sign_in(client, ADMIN_EMAIL, **({"password": password} if password else {}))
    await client.post(f"{API}/auth/refresh", json={"refresh_token": "x" * 40})
    for _ in range(9):
        await client.get(f"{API}/nowhere")
    place = app.state.backstay.worker_context
    await Scheduler(place.schedule, place.outbox).tick()
    await app.state.backstay.system(BeginMaintenance())
    await register(client, "ann@example.org")
    await app.state.backstay.system(EndMaintenance())
    await client.get("/metrics")
    await Worker(place).drain()
    known: Known = {}
    text = (await client.get("/metrics")).text
    for name, rows in samples_in(text).items():
        for row in rows:
            for label, value in row:
                known.setdefault(name, {}).setdefault(label, set()).add(value)
            known.setdefault(name, {})
    return known


def with_types(seen: Known) -> Known:
    """The metrics that were seen, histograms by their own name, and those of services."""
    merged: Known = {}
    for name, _, labels in known_metrics():
        there = seen.get(f"{name}_bucket", seen.get(name))
        if there is not None:
            merged[name] = {
                label: set() if label in OCCASIONAL else values for label, values in there.items()
            }
        elif name in OF_SERVICES:
            merged[name] = {label: set() for label in labels}
    return merged


class TestScrape:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"RATE_LIMIT_ENABLED": "true", "RATE_LIMIT_DEFAULT": "5"}

    @pytest.mark.anyio
    @pytest.mark.parametrize("database_kind", ["sqlite"])
    @needs("system")
    async def test_each_query_finds_its_metrics_and_labels(
        self, client: httpx.AsyncClient, app: FastAPI
    ) -> None:
        known = with_types(await scraped(client, app))
        found = [f"{where}: {each}" for where, query in queries() for each in faults(query, known)]
        assert not found, "\n".join(found)


def test_a_wrong_metric_label_or_value_is_noticed() -> None:
    known = {"backstay_health": {"check": {"database"}, "state": set()}}
    right = 'max by (job, check) (backstay_health{check="database",state="error"}) == 1'
    assert list(faults(right, known)) == []
    for wrong, fault in (
        (right.replace("health", "heat"), "backstay_heat does not exist"),
        (right.replace("(job, check)", "(job, cheque)"), "backstay_health has no label cheque"),
        (right.replace("state", "status"), "backstay_health has no label status"),
        (right.replace('"database"', '"base"'), "backstay_health has no check 'base'"),
    ):
        assert list(faults(wrong, known)) == [fault]
    with pytest.raises(ValueError, match="unclosed"):
        list(used_in("sum("))


def test_dashboards_are_those_that_the_panels_describe() -> None:
    assert {file.name: file.read_text("utf-8") for file in FOLDER.glob("*.json")} == texts()


def test_every_metric_is_in_an_alert_or_a_dashboard() -> None:
    asked = {used.metric for _, query in queries() for used in used_in(query)}
    names = {name for name, kind, _ in known_metrics() if kind != "histogram"}
    assert names - asked == set()


def test_folders_of_grafana_are_those_of_its_provisioning() -> None:
    folder = DEPLOY / "grafana" / "provisioning"
    sources = yaml.safe_load((folder / "datasources" / "datasources.yaml").read_text("utf-8"))
    assert {each["uid"] for each in sources["datasources"]} == {"prometheus", "loki"}
    (provider,) = yaml.safe_load((folder / "dashboards" / "dashboards.yaml").read_text())[
        "providers"
    ]
    assert Path(provider["options"]["path"]).name == FOLDER.name
