"""Shows that the settings are told as `backstay config` prints them, and that no secret is."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from backstay.settings import SettingsReport, read_settings
from backstay.settings.schema import PACKAGED
from backstay.settings.variables import Variable
from backstay.testing import Login
from tests.features.steps import API
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

SETTINGS = f"{API}/system/settings"
PLANTED = "s3cr3tpl4nt3ds3cr3tpl4nt3ds3cr3tpl4nt3d"
IN_URLS = {
    "DB_URL": f"postgresql://me:{PLANTED}@db.example/shop",
    "DB_REPLICA_URL": f"postgresql://me@db.example/shop?password={PLANTED}",
    "REDIS_URL": f"redis://me:{PLANTED}@redis.example/0",
    "REDIS_CACHE_URL": f"rediss://:{PLANTED}@redis.example/1",
    "REDIS_RATE_LIMIT_URL": f"redis://:{PLANTED}@redis.example/2",
    "QUEUE_URL": f"amqp://me:{PLANTED}@queue.example/",
    "SENTRY_DSN": f"https://{PLANTED}@sentry.example/1",
    "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={PLANTED}",
}


@pytest.fixture
def variables() -> dict[str, str]:
    return {"APP_NAME": "Shop", "SERVER_PROT": "1", "APP_METRICS_TOKEN": PLANTED}


async def test_who_may_reads_values_origins_and_warnings(login: Login) -> None:
    admin = await login("admin")
    answer = await admin.client.get(SETTINGS)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    by_name = {each["name"]: (each["value"], each["origin"]) for each in told["items"]}
    assert [*by_name] == [variable.name for variable in PACKAGED.variables]
    assert by_name["APP_NAME"] == ("Shop", "environment")
    assert by_name["SERVER_PORT"] == ("8000", "default")
    assert by_name["APP_METRICS_TOKEN"] == ("********", "environment")
    assert PLANTED not in answer.text
    assert any("SERVER_PROT" in warning for warning in told["warnings"])


async def test_others_do_not_read_them(login: Login) -> None:
    problem(await (await login()).client.get(SETTINGS), 403)


def report_of(folder: Any, **environ: str) -> SettingsReport:
    """The report of settings from these variables, even if some are at fault."""
    return read_settings(environ, folder).draft.report


def told(report: SettingsReport) -> Mapping[str, str]:
    return {each.name: each.value for each in report.entries}


def secrets() -> list[Variable]:
    return [variable for variable in PACKAGED.variables if variable.secret]


@pytest.mark.parametrize("name", sorted({each.name for each in secrets()} | IN_URLS.keys()))
def test_no_secret_is_told(name: str, tmp_path: Any, database_kind: str) -> None:
    planted = IN_URLS.get(name, PLANTED)
    report = report_of(tmp_path, ENVIRONMENT="local", **{name: planted})
    assert told(report)[name] != planted
    assert PLANTED not in json.dumps([told(report), report.warnings])


def test_a_faulty_value_is_not_told_either(tmp_path: Any, database_kind: str) -> None:
    report = report_of(tmp_path, DB_URL=f"nothing://me:{PLANTED}@x", SERVER_PORT=PLANTED)
    assert told(report)["DB_URL"] == told(report)["SERVER_PORT"] == "faulty"
    assert PLANTED not in json.dumps([told(report), report.warnings])
