"""The alarms of an endpoint, as rules of Prometheus. Pure.

    rule_file([group(watched)])

They are the alarms that AWS has (`infra.aws.monitors`), under the same names. Each says what missing data means.
"""

from __future__ import annotations

from monitoring.published import CONCEPT_EVIDENCE, DRIFT_EVIDENCE
from platforms.kubernetes.metrics import (
    CLASS,
    CLUSTER,
    EDGE,
    ENDPOINT,
    LATENCY,
    REQUESTS,
    VARIANT,
    any_of,
    edge_at_or_above,
    edge_pattern,
    matched,
    series,
)  # fmt: skip
from platforms.kubernetes.own_alarm_rules import of_gateway, of_ours
from platforms.kubernetes.promql import YOUNG, beyond, offset, over, rise, scraped
from platforms.kubernetes.rule import MEANINGS, WAKE, Rule, alert, group_names, record
from platforms.kubernetes.watched import Watched
from services.declaration.alarm_names import CONCEPT, DRIFT, FAILS, SLOW
from services.declaration.alarm_thresholds import bound

MAY_BE_SLOW = 0.01
"""Share of requests that may take longer than `max_p99_ms`."""
PERIOD, PERIODS, SLOWER_THAN = "period_seconds", "periods", "slower_than_ms"
"""Annotations: what the alarm counts over, how many of those it looks at, and what is slow."""
_OF_PERIODS = 3
_SAYS = {
    DRIFT: (
        "is asked about other data than it was trained on",
        "No drift is known. That it cannot be measured is told by functions-failing.",
        MEANINGS,
    ),
    CONCEPT: (
        "is wrong more often than in its evaluation, for days",
        "No label says neither that the concept has moved nor that it is back: the evidence stays as it was for as "
        "long as the controller tells it.",
        "the-concept-has-moved",
    ),
}


def group(watched: Watched) -> Rule:
    """The alarms of an endpoint, and what they are computed from."""
    rules: list[Rule] = []
    for variant in watched.variants:
        rules += _of_variant(watched, variant)
    rules += of_gateway(watched)
    rules += of_ours(watched)
    return {"name": group_names(watched.endpoint)[0], "interval": f"{watched.every_seconds}s", "rules": rules}


def counts(watched: Watched, variant: str, every: int, slow_ms: float, kind: str = "") -> list[Rule]:
    """What a variant counted since the evaluation before: requests, failures, timed answers, and slow ones of them.

    The first rule records the counters as they are seen, and the others compare them with what was seen before.

    Args:
        watched: What is watched.
        variant: The variant.
        every: How often that is evaluated, in seconds.
        slow_ms: What takes longer is slow; moved to the bound of a bucket at or above it.
        kind: What the names of the counts begin with.
    """
    ours = {CLUSTER: any_of(watched.variants[variant])}
    answers = matched(REQUESTS, like={**ours, CLASS: "[2-5]"})
    timed = matched(LATENCY, {EDGE: "+Inf"}, ours)
    edge = edge_at_or_above(slow_ms)
    bound_of = edge_pattern(edge) if edge is not None else "[+]Inf"
    within = matched(LATENCY, like={**ours, EDGE: bound_of})
    place = {**watched.labels, VARIANT: variant}
    counters, older = f"modelstack:{kind}counters", f"modelstack:{kind}counters:older"
    requests, all_timed = (matched(risen(f"{kind}{name}"), place) for name in ("requests", "timed"))

    def rose(label: str, pattern: str) -> str:
        now, ago = (matched(name, place, {label: pattern}) for name in (counters, older))
        return f"sum({rise(now, now + offset(every), scraped(2 * every), ago)})"

    return [
        # All in one query, which sees the same scrapes of each.
        record(counters, f"{answers} or {timed} or {within}", place),
        record(older, " or ".join(each + offset(YOUNG) for each in (answers, timed, within)), place),
        record(risen(f"{kind}requests"), rose(CLASS, "[2-5]"), place),
        # Without a series of failures there were none; without one of requests nothing is known.
        record(risen(f"{kind}failed"), f"{rose(CLASS, '5')} or 0 * sum({requests})", place),
        record(risen(f"{kind}timed"), rose(EDGE, "[+]Inf"), place),
        record(risen(f"{kind}slow"), f"sum({all_timed}) - {rose(EDGE, bound_of)}", place),
    ]


def risen(name: str) -> str:
    """What the record of a count is called."""
    return f"modelstack:{name}:rise"


def _of_variant(watched: Watched, variant: str) -> list[Rule]:
    place = {**watched.labels, VARIANT: variant}
    period, nats = watched.period_seconds, watched.nats

    def counted(name: str) -> str:
        return matched(f"modelstack:{name}:period", place)

    periods = [
        record(f"modelstack:{name}:period", over(matched(risen(name), place), period), place)
        for name in ("requests", "failed", "timed", "slow")
    ]
    slow, timed, edge = counted("slow"), counted("timed"), edge_at_or_above(watched.max_p99_ms) or watched.max_p99_ms
    lately = matched("modelstack:slow:beyond", place)
    ago = " or ".join(
        f'label_replace({lately}{f" offset {back * period}s" if back else ""}, "ago", "{back}", "", "")'
        for back in range(_OF_PERIODS)
    )
    same = f"on ({ENDPOINT}, {VARIANT})"
    return [
        *counts(watched, variant, watched.every_seconds, watched.max_p99_ms),
        *periods,
        record("modelstack:slow:beyond", f"{slow} > bool {bound(timed, MAY_BE_SLOW, nats)}", place),
        alert(
            watched.labels,
            variant,
            FAILS,
            beyond(counted("failed"), counted("requests"), watched.max_5xx_rate, nats),
            severity="ticket",
            summary=f"{variant} answers {{{{ $value | humanizePercentage }}}} of its requests with a 5XX: more than "
            f"{watched.max_5xx_rate:.1%}, and than chance explains",
            missing="No request, nothing failed; and the judge promotes nobody on that.",
            threshold=watched.max_5xx_rate,
            labels={VARIANT: variant, WAKE: "true"},
            told={PERIOD: period, PERIODS: 1},
        ),
        alert(
            watched.labels,
            variant,
            SLOW,
            f"({slow} / {timed}) and {same} (sum by ({ENDPOINT}, {VARIANT}) ({ago}) >= 2)",
            severity="ticket",
            summary=f"{variant} takes longer than {edge:g} ms for "
            f"{{{{ $value | humanizePercentage }}}} of its requests: more than {MAY_BE_SLOW:.0%}, and than chance "
            f"explains, in 2 of {_OF_PERIODS} periods",
            missing="No request, nothing was slow; and the judge promotes nobody on that.",
            threshold=MAY_BE_SLOW,
            labels={VARIANT: variant, WAKE: "true"},
            told={PERIOD: period, PERIODS: _OF_PERIODS, SLOWER_THAN: edge},
        ),
        _evidence(watched, variant, DRIFT, DRIFT_EVIDENCE),
        _evidence(watched, variant, CONCEPT, CONCEPT_EVIDENCE),
    ]


def _evidence(watched: Watched, variant: str, measure: str, metric: str) -> Rule:
    """An alarm on evidence, which the controller measures; every replica tells the same."""
    told = matched(series(metric), {**watched.labels, VARIANT: variant})
    says, missing, section = _SAYS[measure]
    return alert(
        watched.labels,
        variant,
        measure,
        f"max({told}) >= 1",
        severity="ticket",
        summary=f"{variant} {says}",
        missing=missing,
        threshold=1,
        section=section,
        labels={VARIANT: variant},
    )
