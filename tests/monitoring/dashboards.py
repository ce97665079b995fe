"""Writes the Grafana dashboards: ``python -m tests.monitoring.dashboards`` (`make dashboards`)."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from tests.architecture.tree import ROOT

DEPLOY = ROOT / "src" / "backstay" / "blueprints" / "templates" / "deploy"
FOLDER = DEPLOY / "grafana" / "dashboards"
PANELS = Path(__file__).with_name("dashboards.yaml")

CHOSEN = 'job=~"$job",instance=~"$instance"'
"""The matchers of the variables at the top of each dashboard."""
WORDS = {
    "$REAL": f'{CHOSEN},route!~"/livez|/readyz|/health|/metrics"',
    "$CHOSEN": CHOSEN,
    "$RATE": "$__rate_interval",
}
"""What stands for words in queries; the first leaves out the requests of probes."""
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT, COLUMNS = 8, 8, 24
"""Of a panel, and of the whole dashboard, in units of Grafana's grid."""
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "timeseries": {
        "legend": {"calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "textMode": "value_and_name",
    },
}


def texts() -> dict[str, str]:
    """The text of each dashboard by the name of its file; the same panels give the same text."""
    described = yaml.safe_load(PANELS.read_text("utf-8"))
    return {
        f"{name}.json": json.dumps(_dashboard(name, **parts), indent=1) + "\n"
        for name, parts in described.items()
    }


def _dashboard(name: str, title: str, panels: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "uid": f"backstay-{name}",
        "title": f"Backstay: {title}",
        "tags": ["backstay"],
        "schemaVersion": 41,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [_LINK],
        "templating": {"list": _VARIABLES},
        "panels": [_panel(number, **panel) for number, panel in enumerate(panels)],
    }


def _panel(
    number: int,
    *,
    title: str,
    unit: str,
    lines: Mapping[str, str],
    about: str = "",
    stacked: bool = False,
    kind: str = "timeseries",
) -> dict[str, Any]:
    row, column = divmod(number, COLUMNS // WIDTH)
    place = {"h": HEIGHT, "w": WIDTH, "x": column * WIDTH, "y": row * HEIGHT}
    field = {
        "unit": unit,
        "min": 0,
        **({"custom": _lines(stacked)} if kind == "timeseries" else {}),
    }
    return {
        "id": number + 1,
        "type": kind,
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": field, "overrides": []},
        "options": OPTIONS[kind],
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "expr": _query(query),
                "legendFormat": legend,
                "range": kind == "timeseries",
                "instant": kind != "timeseries",
            }
            for index, (legend, query) in enumerate(lines.items())
        ],
    }


def _lines(stacked: bool) -> dict[str, Any]:
    return {
        "drawStyle": "line",
        "fillOpacity": 20 if stacked else 5,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }


def _query(query: str) -> str:
    for word, meaning in WORDS.items():
        query = query.replace(word, meaning)
    return query


def _choice(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": f"variable-{name}"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
        "sort": 1,
    }


_VARIABLES = [
    {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": "prometheus"},
    },
    _choice("job", "label_values(backstay_build_info, job)"),
    _choice("instance", 'label_values(backstay_build_info{job=~"$job"}, instance)'),
]
_LINK = {
    "type": "dashboards",
    "title": "Backstay",
    "tags": ["backstay"],
    "asDropdown": True,
    "includeVars": True,
    "keepTime": True,
}


def main() -> None:
    """Write every dashboard, and remove those that are no longer described."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for name, text in texts().items():
        (FOLDER / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
