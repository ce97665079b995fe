"""Shows that each alert fires on its fault alone, reaches somebody by mail, and has a runbook."""

import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree, which

import pytest
import yaml  # type: ignore[import-untyped]

from backstay.blueprints.rendering import render
from tests.architecture.tree import ROOT
from tests.monitoring.dashboards import DEPLOY
from tests.monitoring.faults import FAULTS
from tests.monitoring.test_queries import RULES, alerts

RUNBOOKS = ROOT / "docs" / "runbooks"
MAIL = DEPLOY / "alertmanager" / "alertmanager.yaml"
PARTS = ["What it means", "Where to look", "What to do"]
needs_promtool = pytest.mark.skipif(which("promtool") is None, reason="Prometheus is not here")
needs_amtool = pytest.mark.skipif(which("amtool") is None, reason="Alertmanager is not here")


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_each_alert_fires_on_its_fault_alone(tmp_path: Path) -> None:
    run("promtool", "check", "rules", RULES)
    assert "SUCCESS" in run("promtool", "test", "rules", *(DEPLOY / "prometheus").glob("tests/*"))
    copy = tmp_path / "prometheus"
    copytree(DEPLOY / "prometheus", copy)
    rules = copy / "rules" / "backstay.yaml"
    rules.write_text(rules.read_text().replace("up{", "down{"))
    with pytest.raises(AssertionError, match="BackstayDown"):
        run("promtool", "test", "rules", copy / "tests" / "backstay.yaml")


def test_each_alert_has_a_test_that_lets_it_fire() -> None:
    tests = yaml.safe_load((DEPLOY / "prometheus" / "tests" / "backstay.yaml").read_text("utf-8"))
    tried = {each["name"]: each["promql_expr_test"] for each in tests["tests"]}
    assert tried.keys() == alerts().keys()
    for name, (before, after) in tried.items():
        assert f'alertname="{name}",alertstate="firing"' in before["expr"] == after["expr"]
        assert before["exp_samples"] == []
        assert len(after["exp_samples"]) == 1


def test_each_alert_has_a_fault_that_brings_it_about() -> None:
    assert FAULTS.keys() == alerts().keys()


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    named = {Path(rule["annotations"]["runbook"]).name: name for name, rule in alerts().items()}
    pages = {page.name: page.read_text("utf-8") for page in RUNBOOKS.glob("*.md")}
    pages.pop("README.md")
    assert pages.keys() == named.keys()
    for page, text in pages.items():
        assert text.startswith(f"# {named[page]}\n"), page
        assert re.findall(r"^\*\*(.+?)\.\*\*", text, re.MULTILINE) == PARTS, page


def test_alerts_wake_somebody_or_wait_for_the_morning() -> None:
    assert {rule["labels"]["severity"] for rule in alerts().values()} == {"page", "ticket"}
    routes = yaml.safe_load(MAIL.read_text("utf-8"))
    named = {
        name
        for rule in routes["inhibit_rules"]
        for matcher in (*rule["source_matchers"], *rule["target_matchers"])
        for name in re.findall(r"Backstay[A-Za-z.*]+", matcher)
    }
    assert [n for n in named if not any(re.fullmatch(n, alert) for alert in alerts())] == []


@needs_amtool
def test_alerts_reach_receivers_by_severity() -> None:
    run("amtool", "check-config", MAIL)
    for severity, receiver in (("page", "on-call"), ("ticket", "tickets")):
        routes = "config", "routes", "test", f"--config.file={MAIL}", f"severity={severity}"
        assert run("amtool", *routes).split() == [receiver]


def test_one_variable_scales_thresholds_patience_and_windows(tmp_path: Path) -> None:
    script, copy = tmp_path / "scale.py", tmp_path / "scaled.yaml"
    script.write_text(render("deploy/prometheus/scale.py"), "utf-8")
    scaled = subprocess.run(
        [sys.executable, script, RULES],
        env={"ALERT_SCALE": "0.1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    copy.write_text(scaled, "utf-8")
    rules = {
        rule["alert"]: rule for group in yaml.safe_load(scaled)["groups"] for rule in group["rules"]
    }
    assert rules.keys() == alerts().keys()
    assert rules["BackstayDown"]["for"] == "12000ms"
    assert rules["BackstayDown"]["expr"].endswith("== 0")
    assert "[30000ms]" in rules["BackstayErrors"]["expr"]
    assert rules["BackstayErrors"]["expr"].endswith("> 0.002")
    assert rules["BackstayMemory"]["expr"].endswith("> 1e+08")
    assert rules["BackstayErrors"]["annotations"] == alerts()["BackstayErrors"]["annotations"]
    if which("promtool"):
        run("promtool", "check", "rules", copy)


def test_a_scale_that_is_no_factor_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "scale.py"
    script.write_text(render("deploy/prometheus/scale.py"), "utf-8")
    told = subprocess.run(
        [sys.executable, script], env={"ALERT_SCALE": "0"}, capture_output=True, check=False
    )
    assert told.returncode == 1
    assert b"Set ALERT_SCALE to a number above 0" in told.stderr
