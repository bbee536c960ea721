"""The alarms of an endpoint as rules of Prometheus. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from modelstack.platforms.kubernetes import metrics
from modelstack.platforms.kubernetes.metrics import any_of, edge_at_or_above, edge_pattern, matched, series
from modelstack.platforms.kubernetes.promql import YOUNG, beyond, offset, over, rise, scraped
from modelstack.platforms.kubernetes.rule import MOVED, PERCENT, Rule, Watched, alert, group_names, record
from modelstack.platforms.kubernetes.system_rules import controller_rules, gateway_rules
from modelstack.services.declaration.alarm_names import DRIFT
from modelstack.services.declaration.alarm_thresholds import bound, plain
from modelstack.services.declaration.alarms import MAY_BE_SLOW, AlarmSpec, BadShare, EvidenceRule, variant_alarms

PERIOD, PERIODS, SLOWER_THAN = "period_seconds", "periods", "slower_than_ms"
"""Annotations of an alert: its period, the number of periods it looks at, and its latency limit."""


def group(watched: Watched) -> Rule:
    """The rule group with the alarms of an endpoint and their recording rules."""
    rules: list[Rule] = []
    for variant in watched.variants:
        rules += _of_variant(watched, variant)
    rules += gateway_rules(watched)
    rules += controller_rules(watched)
    return {"name": group_names(watched.endpoint)[0], "interval": f"{watched.every_seconds}s", "rules": rules}


def counts(watched: Watched, variant: str, every: int, slow_ms: float, kind: str = "") -> list[Rule]:
    """Recording rules of a variant's requests, failures, timed and slow responses, evaluated every so many seconds.

    The first rule records the counters as scraped, and the others compare them with the values recorded before.
    `slow_ms` is moved to the next bucket bound. The names of the records begin with `kind`. With one, requests count as
    users see them; without, a 5XX counts only if a pod answered it.
    """
    ours = {metrics.CLUSTER: any_of(watched.variants[variant])}
    of_users = (matched(metrics.REQUESTS, like={**ours, metrics.CLASS: "[2-5]"}),)
    of_pods = (
        matched(metrics.REQUESTS, like={**ours, metrics.CLASS: "[2-4]"}),
        matched(metrics.ANSWERS, {metrics.CLASS: "5"}, ours),
    )
    timed = matched(metrics.LATENCY, {metrics.EDGE: "+Inf"}, ours)
    edge = edge_at_or_above(slow_ms)
    bound_of = edge_pattern(edge) if edge is not None else "[+]Inf"
    within = matched(metrics.LATENCY, like={**ours, metrics.EDGE: bound_of})
    counted = (*(of_users if kind else of_pods), timed, within)
    place = {**watched.labels, metrics.VARIANT: variant}
    counters, older = f"modelstack:{kind}counters", f"modelstack:{kind}counters:older"
    requests, all_timed = (matched(risen(f"{kind}{name}"), place) for name in ("requests", "timed"))

    def rose(label: str, pattern: str) -> str:
        now, ago = (matched(name, place, {label: pattern}) for name in (counters, older))
        before = f"last_over_time({now}[{YOUNG}s]{offset(every)})"  # over a missed scrape, too
        return f"sum({rise(now, before, scraped(2 * every), ago)})"

    return [
        # All in one query, which sees the same scrapes of each.
        record(counters, " or ".join(counted), place),
        record(older, " or ".join(each + offset(YOUNG) for each in counted), place),
        record(risen(f"{kind}requests"), rose(metrics.CLASS, "[2-5]"), place),
        # Without a series of failures there were none; without one of requests nothing is known.
        record(risen(f"{kind}failed"), f"{rose(metrics.CLASS, '5')} or 0 * sum({requests})", place),
        record(risen(f"{kind}timed"), rose(metrics.EDGE, "[+]Inf"), place),
        record(risen(f"{kind}slow"), f"sum({all_timed}) - {rose(metrics.EDGE, bound_of)}", place),
    ]


def risen(name: str) -> str:
    """The record name of a count."""
    return f"modelstack:{name}:rise"


def _of_variant(watched: Watched, variant: str) -> list[Rule]:
    place, period = {**watched.labels, metrics.VARIANT: variant}, watched.period_seconds
    edge = edge_at_or_above(watched.max_p99_ms) or watched.max_p99_ms
    slow, timed = (matched(f"modelstack:{name}:period", place) for name in ("slow", "timed"))
    return [
        *counts(watched, variant, watched.every_seconds, watched.max_p99_ms),
        *(
            record(f"modelstack:{name}:period", over(matched(risen(name), place), period), place)
            for name in ("requests", "failed", "timed", "slow")
        ),
        record("modelstack:slow:beyond", f"{slow} > bool {bound(timed, MAY_BE_SLOW, watched.nats)}", place),
        *(_alert(watched, spec) for spec in variant_alarms(replace(watched, max_p99_ms=edge), variant)),
    ]


def _alert(watched: Watched, spec: AlarmSpec) -> Rule:
    condition, labels = spec.condition, {metrics.VARIANT: spec.subject}
    place = {**watched.labels, **labels}
    if isinstance(condition, EvidenceRule):  # every replica of the controller publishes the same
        expression = f"max({matched(series(condition.metric), place)}) >= {spec.threshold:g}"
        notes = {MOVED: _moved(condition.metric, place)} if spec.measure == DRIFT else None
        return alert(watched.labels, spec, expression, labels=labels, notes=notes)
    assert isinstance(condition, BadShare)  # noqa: S101 - it narrows the type
    period = watched.period_seconds
    bad, whole = (
        matched(f"modelstack:{name}:period", place)
        for name in (condition.bad, "timed" if condition.bad == "slow" else "requests")
    )
    numbers: dict[str, float] = {PERIOD: period, PERIODS: condition.periods}
    if condition.periods == 1:
        expression = beyond(bad, whole, condition.tolerated, condition.nats)
    else:
        lately = matched(f"modelstack:{condition.bad}:beyond", place)
        ago = " or ".join(
            f'label_replace({lately}{f" offset {back * period}s" if back else ""}, "ago", "{back}", "", "")'
            for back in range(condition.periods)
        )
        both = f"{metrics.ENDPOINT}, {metrics.VARIANT}"
        enough = f"(sum by ({both}) ({ago}) >= {condition.needed})"
        expression = f"({bad} / {whole}) and on ({both}) {enough}"
    if condition.bad == "slow":
        numbers[SLOWER_THAN] = condition.slow_ms
    notes = {name: plain(number) for name, number in numbers.items()}
    return alert(watched.labels, spec, expression, value=PERCENT, labels=labels, notes=notes)


def _moved(metric: str, place: Mapping[str, str]) -> str:
    """A template of the features that have drifted, or else of the one with the most evidence, separated by commas."""
    each = f"max by (feature) ({matched(series(metric), place, unlike={'feature': ''})})"
    query = f"sort_desc({each} >= 1) or topk(1, {each})"
    return "{{ range $i, $one := query `" + query + "` }}{{ if $i }}, {{ end }}{{ $one.Labels.feature }}{{ end }}"
