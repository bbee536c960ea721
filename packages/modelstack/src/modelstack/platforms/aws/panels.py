"""The panels of a stack as CloudWatch queries. Variants are searched for, so a new release changes no query.

Source: Amazon CloudWatch User Guide, "Search expression syntax" and "Using math expressions with CloudWatch metrics".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from modelstack.monitoring import published
from modelstack.monitoring.objectives.slo import SLIS, Objective
from modelstack.platforms.aws import metrics
from modelstack.platforms.aws.metrics import dimensions, place
from modelstack.rollout.core.catalogue import OWN
from modelstack.services.declaration import panels as declared
from modelstack.services.declaration.alarm_thresholds import plain
from modelstack.services.declaration.panels import CurveSpec, Panel, PanelSettings, PanelSpec, Query

HANDLERS = ("rollback", "advance", "drift", "labels", "retrain")
"""All functions that a stack may have."""
QUEUES = ("rollback-dlq", "captures-dlq", "labels-dlq")
"""Its dead-letter queues, without the prefix of their names."""
_SERVED = {
    declared.REQUESTS: metrics.INVOCATIONS,
    declared.FAILED: metrics.FAILED,
    declared.REFUSED: metrics.REFUSED,
    declared.LATENCY: metrics.LATENCY,
}
_DIMENSIONS = {
    declared.VARIANT: metrics.VARIANT,
    declared.FEATURE: metrics.FEATURE,
    declared.SEGMENT: metrics.SEGMENT,
    declared.EVENT: metrics.EVENT,
}
_STATS = {"count": "Sum", "share": "Sum", "rate": "Average", "maximum": "Maximum", "average": "Average"}


def panels(endpoint: str, settings: PanelSettings, least_seconds: int = 0) -> list[Panel]:
    """All panels of an endpoint's stack, in order; points are at least `least_seconds` apart."""
    specs: list[PanelSpec] = [*declared.service(settings), *declared.model_input(settings)]
    after: Sequence[PanelSpec] = declared.quality(settings)
    budgets = [_budget(endpoint, settings.objective)] if settings.objective else []

    def coarser(spec: PanelSpec) -> PanelSpec:
        return replace(spec, seconds=max(spec.seconds, least_seconds))

    return [
        *(_compiled(endpoint, coarser(spec)) for spec in specs),
        *budgets,
        *(_compiled(endpoint, coarser(spec)) for spec in after),
        *_functions(endpoint, max(settings.period_seconds, 60, least_seconds)),
    ]


def comparison(endpoint: str, variants: Sequence[str], seconds: int) -> list[Panel]:
    """The panels by which variants are compared: requests, failures, and latency.

    Each metric is named: a search finds only those with data of the last two weeks.
    """
    requests, failures, latency = (
        replace(spec, seconds=seconds)
        for spec in (declared.COMPARED_REQUESTS, declared.COMPARED_FAILURES, declared.COMPARED_LATENCY)
    )

    def each(text: str, label: str = "", **inputs: tuple[str, str]) -> list[Query]:
        """One query a variant over metrics with their statistics, whose names end in the variant's number, `#`."""
        return [
            Query(
                text.replace("#", str(number)),
                f"{label} {variant}".strip(),
                inputs={
                    f"{key}{number}": {
                        "Metric": {
                            "Namespace": metrics.SAGEMAKER,
                            "MetricName": metric,
                            "Dimensions": dimensions(place(endpoint, variant)),
                        },
                        "Period": seconds,
                        "Stat": stat,
                    }
                    for key, (metric, stat) in inputs.items()
                },
            )
            for number, variant in enumerate(variants)
        ]

    r, f, c = ((metric, "Sum") for metric in (metrics.INVOCATIONS, metrics.FAILED, metrics.REFUSED))
    failing = each("100 * (FILL(f#, 0) + FILL(c#, 0)) / r#", r=r, f=f, c=c)
    slow = [
        query
        for curve in latency.curves
        for query in each(f"{curve.stat}_# / 1000", curve.label, **{f"{curve.stat}_": (metrics.LATENCY, curve.stat)})
    ]
    return [
        Panel(requests, tuple(each("r#", r=r)), unfinished=True),
        Panel(failures, tuple(failing), unfinished=True),
        Panel(latency, tuple(slow)),
    ]


def _compiled(endpoint: str, spec: PanelSpec) -> Panel:
    queries = [_query(endpoint, curve, spec.seconds) for curve in spec.curves]
    return Panel(spec, tuple(queries), unfinished=any(curve.stat in {"count", "share"} for curve in spec.curves))


def _query(endpoint: str, curve: CurveSpec, seconds: int) -> Query:
    namespace = metrics.SAGEMAKER if curve.metric in _SERVED else OWN
    by = tuple(_DIMENSIONS[name] for name in curve.by)
    search = _search(
        (namespace, metrics.ENDPOINT, *by),
        _SERVED.get(curve.metric, curve.metric),
        {metrics.ENDPOINT: endpoint},
        _STATS.get(curve.stat, curve.stat),
        seconds,
    )
    # CloudWatch fills in dimensions in the label of a search, but not of an expression over one.
    if curve.stat == "share":
        return Query(f"100 * {search} / SUM({search})", curve.label)
    if curve.stat == "rate":  # each request counts as 0 or 1
        return Query(f"100 * {search}", curve.label)
    if curve.metric == declared.LATENCY:
        return Query(f"{search} / 1000", curve.label)
    return Query(search, curve.label, by)


def _search(schema: Iterable[str], metric: str, of: dict[str, str], stat: str, seconds: int) -> str:
    """A search for a metric with all dimensions of a schema, some of which have these values."""
    values = " ".join(f'{name}="{value}"' for name, value in of.items())
    return f"SEARCH('{{{','.join(schema)}}} MetricName=\"{metric}\" {values}', '{stat}', {seconds})"


def _budget(endpoint: str, objective: Objective) -> Panel:
    spec, of = declared.budget(objective), {metrics.ENDPOINT: endpoint}
    schema = (metrics.SAGEMAKER, metrics.ENDPOINT, metrics.VARIANT)

    def total(metric: str, stat: str) -> str:
        return f"SUM({_search(schema, metric, of, stat, spec.seconds)})"

    requests = total(metrics.INVOCATIONS, "Sum")
    bad = {
        "availability": total(metrics.FAILED, "Sum"),
        "latency": total(metrics.LATENCY, metrics.slower_than(objective.latency_ms)),
    }
    left = (Query(f"100 * (1 - {bad[sli]} / {requests} / {plain(objective.tolerated(sli))})", sli) for sli in SLIS)
    return Panel(spec, tuple(left))


def _functions(prefix: str, seconds: int) -> list[Panel]:
    """Which functions and events fail, and how late files are counted."""

    def named(namespace: str, metric: str, dimension: str, value: str, stat: str) -> str:
        return _search((namespace, dimension), metric, {dimension: value}, stat, seconds)

    failing = [
        *(Query(named(metrics.LAMBDA, metrics.ERRORS, metrics.FUNCTION, f"{prefix}-{one}", "Sum"), one)
          for one in HANDLERS),
        Query(named(OWN, published.DRIFT_UNMEASURED, metrics.ENDPOINT, prefix, "Sum"), published.DRIFT_UNMEASURED),
    ]  # fmt: skip
    waiting = [
        Query(named(metrics.SQS, metrics.DEPTH, metrics.QUEUE, f"{prefix}-{one}", "Maximum"), f"{prefix}-{one}")
        for one in QUEUES
    ]
    late = [
        Query(named(OWN, published.DELAY, metrics.ENDPOINT, prefix, stat), label)
        for label, stat in (("least", "Minimum"), ("most", "Maximum"))
    ]
    unmeasured = "Functions that fail, and releases whose drift cannot be measured"
    return [
        Panel(PanelSpec(unmeasured, "times", seconds=seconds), tuple(failing), unfinished=True),
        Panel(PanelSpec("Events that none could handle", "messages", seconds=seconds), tuple(waiting)),
        Panel(replace(declared.LATE, seconds=seconds), tuple(late)),
    ]
