"""The error budget alarms as rules of Prometheus. Pure.

A separate group is evaluated less often, as its windows are days. Its counts are of all variants together.
"""

from __future__ import annotations

from collections.abc import Iterator

from modelstack.monitoring.objectives.slo import OBJECTIVE, SLIS, BurnRule, Objective, Sli, rules, still
from modelstack.platforms.kubernetes.alarm_rules import counts, risen
from modelstack.platforms.kubernetes.metrics import ENDPOINT, edge_at_or_above, matched
from modelstack.platforms.kubernetes.promql import over
from modelstack.platforms.kubernetes.rule import Rule, Watched, alert, group_names, record
from modelstack.rollout.core.catalogue import OWN
from modelstack.services.declaration.alarm_thresholds import bound, plain
from modelstack.services.declaration.alarms import AlarmSpec, Burn, objective_alarms

COUNTS: dict[Sli, tuple[str, str]] = {"availability": ("failed", "requests"), "latency": ("slow", "timed")}


def group(watched: Watched, objective: Objective, *, every: int, nats: float) -> Rule:
    """The rule group with the alarms on the objective, evaluated every so many seconds, also the shortest window.

    `nats` is the evidence that a window needs, over all evaluations in the window of the objective. Raises ValueError
    if the objective's latency is above Envoy's buckets.
    """
    if edge_at_or_above(objective.latency_ms) is None:
        raise ValueError(f"latency_ms: got {objective.latency_ms}, expected at most the last bound of Envoy's buckets")
    found = rules(objective, every)
    short = still(found, every)
    made = [
        rule
        for variant in watched.variants
        for rule in counts(watched, variant, every, objective.latency_ms, f"{OBJECTIVE}_")
    ]
    for window in found:
        made += _burns(watched, objective, window, nats)
    made += _burns(watched, objective, short, None)
    for spec in objective_alarms(objective, found, short, nats):
        made.append(_alert(watched, spec))
    return {"name": group_names(watched.endpoint)[1], "interval": f"{every}s", "rules": made}


def _burns(watched: Watched, objective: Objective, window: BurnRule, nats: float | None) -> Iterator[Rule]:
    """The burn rate of each budget in a window; with `nats` only if chance cannot explain it."""
    for sli in SLIS:
        part, whole = (
            f"sum({over(matched(risen(f'{OBJECTIVE}_{name}'), watched.labels), window.seconds)})"
            for name in COUNTS[sli]
        )
        tolerated = objective.tolerated(sli)
        rate = f"{part} / {whole} / {plain(tolerated)}"
        if nats is not None:
            rate += f" and ({whole} >= {objective.min_requests}) and ({part} > {bound(whole, tolerated, nats)})"
        yield record(f"{OWN}:burn:{window.name}", rate, {**watched.labels, "sli": sli})


def _alert(watched: Watched, spec: AlarmSpec) -> Rule:
    condition = spec.condition
    assert isinstance(condition, Burn)  # noqa: S101 - it narrows the type

    def above(window: BurnRule) -> str:
        return f"({matched(f'{OWN}:burn:{window.name}', watched.labels)} > {plain(window.factor)})"

    expression = f"max by ({ENDPOINT}) ({' or '.join(map(above, condition.windows))})"
    if condition.short:
        expression += f" and on ({ENDPOINT}) max by ({ENDPOINT}) ({above(condition.short)})"
    return alert(watched.labels, spec, expression, value="{{ $value | humanize }} times as fast as allowed")
