"""The alarms on what no variant counts, on what acts and on what watches, as rules of Prometheus. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.published import DRIFT_UNMEASURED, PROBE_SUCCESS
from platforms.kubernetes.metrics import (
    ANSWERED,
    CLASS,
    CLUSTER,
    INSTANCE,
    INTERNAL,
    LISTENER,
    NOT_OF_USERS,
    PROBED,
    REQUESTS,
    TICKED,
    any_of,
    matched,
    quoted,
    series,
)  # fmt: skip
from platforms.kubernetes.promql import beyond, offset, over, rise, scraped
from platforms.kubernetes.rule import Rule, alert, record
from platforms.kubernetes.watched import Watched

GATEWAY_ERRORS = 0.01
"""Share of requests that the gateway may answer itself with a 5XX."""
LATE_SECONDS, STOPPED_SECONDS = 900, 180
"""Labels that wait longer are late; a controller that did nothing for so long has stopped."""
_PROBES = 3
_PRESENT = "envoy_cluster_membership_total"  # of each cluster that an Envoy knows, with or without requests


def of_gateway(watched: Watched) -> list[Rule]:
    """What no variant counts: answers that the gateway makes itself, and a gateway that is not scraped."""
    every, place = watched.every_seconds, watched.labels
    present = matched(_PRESENT, like={CLUSTER: any_of(watched.clusters)})
    here = f"and on (job, {INSTANCE}) group by (job, {INSTANCE}) ({present})"

    def risen(selector: str) -> str:
        # These are the counters of all clusters: so they are looked at as of the evaluation before, and not recorded.
        now, before = selector + offset(every), selector + offset(2 * every)
        return f"sum(({rise(now, before, scraped(3 * every, every))}) {here})"

    users = f"{LISTENER}!~{quoted(NOT_OF_USERS)}"
    failed = f'{ANSWERED}{{{CLASS}="5",{users}}}'
    passed = f'{REQUESTS}{{{CLASS}="5",{CLUSTER}!~{quoted(INTERNAL)}}}'
    answered, own = (f"modelstack:gateway_{name}:rise" for name in ("answered", "own_errors"))
    part, whole = (over(matched(name, place), watched.period_seconds) for name in (own, answered))
    return [
        record(answered, risen(f"{ANSWERED}{{{users}}}"), place),
        record(own, f"{risen(failed)} - ({risen(passed)} or vector(0))", place),
        alert(
            watched.labels,
            "gateway",
            "errors",
            beyond(part, whole, GATEWAY_ERRORS, watched.nats),
            severity="page",
            summary="The gateway answers {{ $value | humanizePercentage }} of all requests with a 5XX of its own: no "
            "variant has them in its counts, and trials stand still. Is each variant ready?",
            missing="No request, nothing failed. That the gateway is not scraped is told by metrics-missing.",
            threshold=GATEWAY_ERRORS,
            section="the-gateway-answers-with-errors",
        ),
        alert(
            watched.labels,
            "metrics",
            "missing",
            f"absent({present})",
            severity="ticket",
            summary="No Envoy that serves the endpoint is scraped: its alarms see nothing, and trials stand still",
            missing="Missing data is what it rings at.",
            threshold=1,
            section="no-metrics-come",
            lasts="5m",
        ),
    ]


def of_ours(watched: Watched) -> list[Rule]:
    """The alarms on what acts and watches."""
    place = watched.labels
    ticked, probed = matched(TICKED, place), matched(PROBED, place)
    rules = [
        alert(
            place,
            "controller",
            "failing",
            f"(time() - max({ticked}) > {STOPPED_SECONDS}) or absent({ticked})",
            severity="page",
            summary="The controller carries no rollout on: an alarm on a release may not be acted upon. Look whether "
            "the champion has all traffic",
            missing="A controller that tells nothing counts as one that does not work.",
            threshold=STOPPED_SECONDS,
            section="the-controller-does-not-work",
            lasts="2m",
        ),
        alert(
            place,
            "functions",
            "failing",
            _failures(watched),
            severity="ticket",
            summary="{{ $labels.what }}: something that watches does not do its work",
            missing="Counts of failures: nothing ran, nothing failed. That nothing runs is told by controller-failing.",
            threshold=0,
            section="a-function-fails",
        ),
    ]
    if watched.probe_minutes is not None:
        rules += _silence(watched, probed, watched.probe_minutes)
    return rules


def _failures(watched: Watched) -> str:
    seconds, place = 120 * watched.sweep_minutes, watched.labels
    unmeasured = matched(f"{series(DRIFT_UNMEASURED)}_total", place)
    ticks = matched("modelstack_tick_failures_total", place)
    late = matched("modelstack_labels_delay_seconds", place)
    ago = f"offset {seconds}s"
    # The counts of the store are those of all time: one that is born has risen, if anything was told before.
    born = f"(max({unmeasured}) unless max({unmeasured} {ago})) and on () max({matched(TICKED, place)} {ago})"
    each = {
        "drift is not measured": f"((max({unmeasured}) - max({unmeasured} {ago})) or ({born})) > 0",
        "rollouts are not carried on": f"sum(increase({ticks}[10m])) > 0",
        "labels are counted late": f"max({late}) > {LATE_SECONDS}",
    }
    return " or ".join(f'label_replace({rings}, "what", "{what}", "", "")' for what, rings in each.items())


def _silence(watched: Watched, probed: str, minutes: int) -> Sequence[Rule]:
    success = matched(series(PROBE_SUCCESS), watched.labels)
    summary = (
        f"The last {_PROBES} probes had no sound answer, or no probe ran: nobody can say that the endpoint is well"
    )

    def silent(expression: str, missing: str, lasts: int, labels: dict[str, str] | None = None) -> Rule:
        return alert(
            watched.labels,
            "probe",
            "silent",
            expression,
            severity="page",
            summary=summary,
            missing=missing,
            threshold=1,
            section="the-endpoint-is-silent",
            lasts=f"{lasts}m",
            labels=labels,
        )

    return [
        silent(
            f"(max({success}) < 1) or (time() - max({probed}) > {60 * _PROBES * minutes})",
            "A probe that does not run says as little as one that fails.",
            (_PROBES - 1) * minutes,
        ),
        silent(
            f"absent({probed})",
            "It rings at what is missing, after the time that a new endpoint and its first release may take.",
            max(30, (_PROBES + 1) * minutes),
            {"never": "true"},
        ),
    ]
