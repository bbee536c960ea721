"""The alarms on gateway, controller and probe as rules of Prometheus. Pure."""

from __future__ import annotations

from dataclasses import replace

from modelstack.monitoring.published import DRIFT_UNMEASURED, PROBE_SUCCESS
from modelstack.platforms.kubernetes import metrics
from modelstack.platforms.kubernetes.metrics import any_of, matched, series
from modelstack.platforms.kubernetes.promql import YOUNG, beyond, offset, over, rise, scraped
from modelstack.platforms.kubernetes.rule import PERCENT, Rule, Watched, alert, record
from modelstack.services.declaration.alarm_names import FAILING, LATE_MINUTES
from modelstack.services.declaration.alarms import PROBES, AlarmSpec, Missing, Silence, probe_alarm

GATEWAY_ERRORS = 0.01  # tolerated share of requests with a 5XX of the gateway itself
STOPPED_SECONDS = 180  # seconds after which an inactive controller has stopped
_PRESENT = "envoy_cluster_membership_total"  # of each cluster that an Envoy knows, with or without requests
_GATEWAY = AlarmSpec(
    "gateway",
    "errors",
    "The gateway answers requests with a 5XX of its own, which count for no version, and trials stand still. Check "
    "whether each version has ready pods that answer. Their share of all requests",
    "page",
    GATEWAY_ERRORS,
    Missing("notBreaching", "No request, nothing failed. metrics-missing reports a gateway that is not scraped."),
    "the-gateway-answers-with-errors",
)
_NO_METRICS = AlarmSpec(
    "metrics",
    "missing",
    "No Envoy that serves the endpoint is scraped: its alarms have no data, and trials stand still",
    "ticket",
    1,
    Missing("breaching", "It fires at missing data."),
    "no-metrics-come",
)
_CONTROLLER = AlarmSpec(
    "controller",
    FAILING,
    "The controller does not continue rollouts: an alarm on a release may not be acted upon. Check whether the "
    "champion has all traffic",
    "page",
    STOPPED_SECONDS,
    Missing("breaching", "A controller without metrics counts as one that does not work."),
    "the-controller-does-not-work",
)
_FUNCTIONS = AlarmSpec(
    "functions",
    FAILING,
    "{{ $labels.what }}: a part that watches does not do its work",
    "ticket",
    0,
    Missing("notBreaching", "Nothing ran, nothing failed. controller-failing reports that nothing runs."),
    "a-function-fails",
)


def gateway_rules(watched: Watched) -> list[Rule]:
    """Rules for responses of the gateway itself, and for a gateway that is not scraped."""
    every, place = watched.every_seconds, watched.labels
    present = matched(_PRESENT, like={metrics.CLUSTER: any_of(watched.clusters)})
    here = f"and on (job, {metrics.INSTANCE}) group by (job, {metrics.INSTANCE}) ({present})"

    def risen(selector: str) -> str:
        # These are the counters of all clusters: so they are looked at as of the evaluation before, and not recorded.
        now, before, older = (selector + offset(ago) for ago in (every, 2 * every, YOUNG))
        return f"sum(({rise(now, before, scraped(3 * every, every), older)}) {here})"

    of_users, bad = {metrics.LISTENER: metrics.NOT_OF_USERS}, {metrics.CLASS: "5"}
    failed = matched(metrics.ANSWERED, bad, unlike=of_users)
    ours = any_of(watched.clusters)
    others = matched(metrics.REQUESTS, bad, unlike={metrics.CLUSTER: f"{metrics.INTERNAL}|{ours}"})
    answers = matched(metrics.ANSWERS, bad, like={metrics.CLUSTER: ours})
    answered, own = (f"modelstack:gateway_{name}:rise" for name in ("answered", "own_errors"))
    part, whole = (over(matched(name, place), watched.period_seconds) for name in (own, answered))
    return [
        record(answered, risen(matched(metrics.ANSWERED, unlike=of_users)), place),
        record(own, f"{risen(failed)} - ({risen(others)} or vector(0)) - ({risen(answers)} or vector(0))", place),
        alert(place, _GATEWAY, beyond(part, whole, GATEWAY_ERRORS, watched.nats), value=PERCENT),
        alert(place, _NO_METRICS, f"absent({present})", lasts="5m"),
    ]


def controller_rules(watched: Watched) -> list[Rule]:
    """The alarms on the controller and on the probe."""
    place = watched.labels
    ticked = matched(metrics.TICKED, place)
    stopped = f"(time() - max({ticked}) > {STOPPED_SECONDS}) or absent({ticked})"
    rules = [alert(place, _CONTROLLER, stopped, lasts="2m"), alert(place, _FUNCTIONS, _failures(watched))]
    if watched.probe_minutes is not None:
        rules += _silence(watched, probe_alarm(watched.probe_minutes))
    return rules


def _failures(watched: Watched) -> str:
    seconds, place = 120 * watched.drift_minutes, watched.labels
    unmeasured = matched(f"{series(DRIFT_UNMEASURED)}_total", place)
    ticks = matched("modelstack_tick_failures_total", place)
    late = matched("modelstack_labels_delay_seconds", place)
    ago = f"offset {seconds}s"
    # The counts of the store are those of all time: one that is born has risen, if anything was published before.
    born = f"(max({unmeasured}) unless max({unmeasured} {ago})) and on () max({matched(metrics.TICKED, place)} {ago})"
    each = {
        "drift is not measured": f"((max({unmeasured}) - max({unmeasured} {ago})) or ({born})) > 0",
        "rollouts do not continue": f"sum(increase({ticks}[10m])) > 0",
        "labels are counted late": f"max({late}) > {60 * LATE_MINUTES}",
    }
    return " or ".join(f'label_replace({fires}, "what", "{what}", "", "")' for what, fires in each.items())


def _silence(watched: Watched, spec: AlarmSpec) -> list[Rule]:
    assert isinstance(spec.condition, Silence)  # noqa: S101 - it narrows the type
    minutes, warm_up = spec.condition.minutes, spec.condition.warm_up_minutes
    success, probed = matched(series(PROBE_SUCCESS), watched.labels), matched(metrics.PROBED, watched.labels)
    never = Missing("breaching", "It fires after the time that a new endpoint and its first release may take.")
    return [
        alert(
            watched.labels,
            spec,
            f"(max({success}) < 1) or (time() - max({probed}) > {60 * PROBES * minutes})",
            lasts=f"{(PROBES - 1) * minutes}m",
        ),
        alert(
            watched.labels,
            replace(spec, missing=never),
            f"absent({probed})",
            lasts=f"{warm_up}m",
            labels={"never": "true"},
        ),
    ]
