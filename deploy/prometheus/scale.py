"""Prints the alert rules with every threshold, patience and window multiplied by ALERT_SCALE.

    ALERT_SCALE=0.05 python scale.py rules/backstay.yaml > scaled/backstay.yaml

With 0.05 an alert that waits five minutes fires after fifteen seconds, at a twentieth of its
threshold. Windows must hold several scrapes: set `scrape_interval` to a second, too.
"""

import os
import re
import sys
from pathlib import Path

UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATION = re.compile(r"(?:(?<=for: )|(?<=\[))([0-9]+)(ms|s|m|h|d)")
THRESHOLD = re.compile(r"(?<= [<>] )[0-9.]+(?:e[+-]?[0-9]+)?$", re.MULTILINE)


def scaled(rules: str, factor: float) -> str:
    """The rules with thresholds and durations multiplied; no duration is shorter than 1 ms."""

    def duration(found: "re.Match[str]") -> str:
        return f"{max(1, round(int(found[1]) * UNITS[found[2]] * factor))}ms"

    return DURATION.sub(duration, THRESHOLD.sub(lambda n: f"{float(n[0]) * factor:g}", rules))


def main() -> None:
    """Print the rules of every named file."""
    factor = float(os.environ.get("ALERT_SCALE", "1"))
    if not factor > 0 or not sys.argv[1:]:
        sys.exit("Set ALERT_SCALE to a number above 0, and name the files with rules.")
    for name in sys.argv[1:]:
        print(scaled(Path(name).read_text("utf-8"), factor), end="")


if __name__ == "__main__":
    main()
