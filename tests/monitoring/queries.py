"""Finds what queries of Prometheus use: metrics, their labels, and values of labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import promql_parser

SUFFIXES = ("_bucket", "_sum", "_count")
OF_TARGETS = {"job", "instance", "le", "alertname", "severity", "alertstate"}
"""Labels that Prometheus itself, its rules or histograms have."""


@dataclass(slots=True)
class Used:
    """A metric in a query, the labels by which it is chosen or grouped, and the exact values."""

    metric: str
    labels: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)


def plain(query: str) -> str:
    """A query of a dashboard as Prometheus takes it: with every job, over a minute."""
    chosen = query.replace("$job", ".*").replace("$instance", ".*")
    return chosen.replace("$__rate_interval", "1m")


def used_in(query: str) -> Iterator[Used]:
    """What a query uses.

    Raises:
        ValueError: it is no PromQL.
    """
    grouped: list[tuple[promql_parser.Expr, list[str]]] = [(promql_parser.parse(query), [])]
    found: list[promql_parser.VectorSelector] = []
    by: dict[str, set[str]] = {}

    def note(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            grouped.append((node.expr, node.modifier.labels))
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(grouped[0][0], note)
    selectors = {str(each): each for each in found}
    for expression, labels in grouped:
        found.clear()
        promql_parser.walk(expression, lambda node: note(node) if _selects(node) else True)
        for each in found:
            by.setdefault(str(each), set()).update(labels)
    for text, each in selectors.items():
        matchers = each.matchers.matchers
        values = {m.name: m.value for m in matchers if m.op == promql_parser.MatchOp.Equal}
        yield Used(each.name or "", {m.name for m in matchers} | by.get(text, set()), values)


def _selects(node: promql_parser.Expr) -> bool:
    return isinstance(node, promql_parser.VectorSelector)


def faults(query: str, known: Mapping[str, Mapping[str, set[str]]]) -> Iterator[str]:
    """What a query uses that is not there.

    ``known`` has the metrics, their labels, and the values that each label had. A label without
    values is not compared.
    """
    for used in used_in(query):
        metric = next(
            (
                used.metric.removesuffix(suffix)
                for suffix in SUFFIXES
                if used.metric.removesuffix(suffix) in known
            ),
            used.metric,
        )
        if metric in {"up", "ALERTS"}:
            continue
        if metric not in known:
            yield f"{metric} does not exist"
            continue
        for label in sorted(used.labels - OF_TARGETS):
            name = label.removeprefix("exported_")  # the job of Prometheus hides that of the metric
            if name not in known[metric] or (label == "job" and name != label):
                yield f"{metric} has no label {name}"
            elif (value := used.values.get(label)) and value not in (
                known[metric][name] or {value}
            ):
                yield f"{metric} has no {name} {value!r}"
