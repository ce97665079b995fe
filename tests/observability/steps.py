"""Reads the metrics of a running application as Prometheus does."""

from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families

Samples = Mapping[str, Mapping[tuple[tuple[str, str], ...], float]]


def samples_in(text: str) -> Samples:
    """The values in a text of Prometheus by name, then by labels, sorted."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            labels = tuple(sorted(each.labels.items()))
            found.setdefault(each.name, {})[labels] = each.value
    return found


async def scraped(client: httpx.AsyncClient) -> Samples:
    answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return samples_in(answer.text)


def value(samples: Samples, name: str, **labels: str) -> float:
    """The value of a metric with these labels; 0 if it has none yet."""
    return samples.get(f"backstay_{name}", {}).get(tuple(sorted(labels.items())), 0.0)
