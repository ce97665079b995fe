"""Asks a real Prometheus every query of the dashboards: ``python -m tests.monitoring.panels``
(`make panels`).

Under a load of some minutes on the host of `provoke` (`stand.py` has the variables), or, with
`PANELS_FROM` and `PANELS_TO` (seconds since 1970), over a time that is past. What has no data is
printed; `ALERTS_FOLDER/panels` gets a picture of each dashboard to be looked at, where matplotlib
is installed, and the numbers as JSON where it is not.
"""

import asyncio
import json
import math
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from tests.monitoring.dashboards import FOLDER as DASHBOARDS
from tests.monitoring.fault_steps import going_on
from tests.monitoring.queries import plain
from tests.monitoring.stand import Stand, load
from tests.monitoring.stand_files import FOLDER, MAIL
from tests.services.smtp import smtp_server

SECONDS = float(os.environ.get("PANELS_SECONDS", "240"))
PICTURES = FOLDER / "panels"
Line = tuple[str, list[tuple[float, float]]]


def legend(template: str, labels: dict[str, str]) -> str:
    """What Grafana writes beside a line."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), template)


async def lines_of(stand: Stand, panel: dict[str, Any], since: float, until: float) -> list[Line]:
    """The lines of a panel."""
    found: list[Line] = []
    for target in panel["targets"]:
        step = max(1, round((until - since) / 240))
        answer = await stand.prometheus(
            "query_range", query=plain(target["expr"]), start=since, end=until, step=step
        )
        for series in answer["result"]:
            points = [(float(at), float(value)) for at, value in series["values"]]
            points = [each for each in points if not math.isnan(each[1])]
            if points:
                found.append((legend(target["legendFormat"], series["metric"]), points))
    return found


async def asked(stand: Stand, since: float, until: float) -> dict[str, list[dict[str, Any]]]:
    """Title, unit and lines of each panel, by dashboard."""
    sheets: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(DASHBOARDS.glob("*.json")):
        panels = json.loads(file.read_text("utf-8"))["panels"]
        sheets[file.stem] = [
            {
                "title": panel["title"],
                "unit": panel["fieldConfig"]["defaults"]["unit"],
                "lines": await lines_of(stand, panel, since, until),
            }
            for panel in panels
        ]
    return sheets


def draw(sheets: dict[str, list[dict[str, Any]]]) -> None:
    """A picture of each dashboard.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # type: ignore[import-not-found, unused-ignore] # noqa: PLC0415

    for name, panels in sheets.items():
        rows = -(-len(panels) // 3)
        figure, axes = plt.subplots(rows, 3, figsize=(21, 4.5 * rows), squeeze=False)
        for axis in axes.flat[len(panels) :]:
            axis.axis("off")
        for axis, panel in zip(axes.flat, panels, strict=False):
            start = min((points[0][0] for _, points in panel["lines"]), default=0)
            for text, points in panel["lines"]:
                axis.plot([at - start for at, _ in points], [y for _, y in points], label=text)
            axis.set_title(f"{panel['title']} [{panel['unit']}]")
            axis.set_ylim(bottom=0)
            if panel["lines"]:
                axis.legend(fontsize=6, loc="upper left")
        figure.tight_layout()
        figure.savefig(PICTURES / f"{name}.png", dpi=60)
        plt.close(figure)


async def main() -> None:
    """Make a load, ask, tell what is empty, and draw."""
    stand = Stand()
    PICTURES.mkdir(parents=True, exist_ok=True)
    if "PANELS_FROM" in os.environ:
        sheets = await asked(stand, *(float(os.environ[f"PANELS_{end}"]) for end in ("FROM", "TO")))
    else:
        with smtp_server(MAIL):
            try:
                await asyncio.to_thread(stand.start)
                async with stand.connected(), going_on(load(stand)):
                    began = time.time()
                    await asyncio.sleep(SECONDS)
                    sheets = await asked(stand, began, time.time())
            finally:
                await asyncio.to_thread(stand.stop)
    for name, panels in sheets.items():
        empty = [panel["title"] for panel in panels if not panel["lines"]]
        print(f"{name}: {len(panels)} panels, empty: {', '.join(empty) or 'none'}")
    (PICTURES / "panels.json").write_text(json.dumps(sheets))
    try:
        draw(sheets)
    except ImportError:
        sys.exit(f"matplotlib is not installed: {PICTURES}/panels.json has the numbers")
    print(f"Look at {PICTURES}: {', '.join(each.name for each in sorted(PICTURES.glob('*.png')))}")


if __name__ == "__main__":
    if len(sys.argv) > 1:  # the numbers of a run, drawn where matplotlib is
        draw(json.loads(Path(sys.argv[1]).read_text()))
    else:
        asyncio.run(main())
