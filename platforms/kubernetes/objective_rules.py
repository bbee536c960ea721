"""The alarms on what users are promised, as rules of Prometheus: by how fast the error budget burns. Pure.

    group(watched, objective, every=60, nats=evidence)

They are those of `infra.aws.slo`: a page when a long window and the short one burn, a ticket on the longest. A group of
its own is evaluated less often, as its windows are days. Its counts are of all versions together.
"""

from __future__ import annotations

from collections.abc import Iterator

from monitoring.objectives.slo import OBJECTIVE, SLIS, BurnRule, Objective, Sli, rules, still
from platforms.kubernetes.alarm_rules import counts, risen
from platforms.kubernetes.metrics import ENDPOINT, edge_at_or_above, matched
from platforms.kubernetes.promql import over
from platforms.kubernetes.rule import Rule, alert, group_names, record
from platforms.kubernetes.watched import Watched
from rollout.core.catalogue import OWN
from services.declaration.alarm_thresholds import bound, plain

SECTION = "the-error-budget-burns"
COUNTS: dict[Sli, tuple[str, str]] = {"availability": ("failed", "requests"), "latency": ("slow", "timed")}
_MISSING = "No request, nothing burns. A probe, where one runs, tells silence from health."


def group(watched: Watched, objective: Objective, *, every: int, nats: float) -> Rule:
    """The alarms on the objective, and what they are computed from.

    Args:
        watched: The endpoint and its variants.
        objective: What users are promised.
        every: How often the rules are evaluated, in seconds; the shortest of their windows.
        nats: The evidence that a window needs (`evidence`, over all evaluations in the window of the objective).

    Raises:
        ValueError: The objective's latency lies above Envoy's buckets.
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
    pages = [window for window in found if window.severity == "page"]
    (lasting,) = (window for window in found if window.severity == "ticket")
    made += [_page(watched, pages, short), _ticket(watched, lasting)]
    return {"name": group_names(watched.endpoint)[1], "interval": f"{every}s", "rules": made}


def _burns(watched: Watched, objective: Objective, window: BurnRule, nats: float | None) -> Iterator[Rule]:
    """How fast each budget burns in a window; of a guarded one, only where chance cannot explain it."""
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


def _page(watched: Watched, pages: list[BurnRule], short: BurnRule) -> Rule:
    def above(window: BurnRule) -> str:
        return f"({matched(f'{OWN}:burn:{window.name}', watched.labels)} > {plain(window.factor)})"

    longs = " or ".join(above(window) for window in pages)
    return alert(
        watched.labels,
        OBJECTIVE,
        "page",
        f"max by ({ENDPOINT}) ({longs}) and on ({ENDPOINT}) max by ({ENDPOINT}) ({above(short)})",
        severity="page",
        summary="The error budget of all versions together burns {{ $value | humanize }} times as fast as the "
        "objective allows, by failures or by slow requests: it wakes somebody",
        missing=_MISSING,
        threshold=min(window.factor for window in pages),
        section=SECTION,
    )


def _ticket(watched: Watched, lasting: BurnRule) -> Rule:
    burn = matched(f"{OWN}:burn:{lasting.name}", watched.labels)
    return alert(
        watched.labels,
        OBJECTIVE,
        "ticket",
        f"max by ({ENDPOINT}) ({burn} > {plain(lasting.factor)})",
        severity="ticket",
        summary="The error budget of all versions together burns {{ $value | humanize }} times as fast as the "
        "objective allows: the objective will be missed",
        missing=_MISSING,
        threshold=lasting.factor,
        section=SECTION,
    )
