"""The alarms of a stack as data; each platform compiles them to its own form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from modelstack.monitoring.custom import EVIDENCE, CustomMetric
from modelstack.monitoring.labels.concept import LOSS_RISE
from modelstack.monitoring.objectives.slo import OBJECTIVE, BurnRule, Objective, Severity
from modelstack.monitoring.published import CONCEPT_EVIDENCE, DRIFT_EVIDENCE
from modelstack.services.declaration.alarm_names import (
    ADVANCE,
    CONCEPT,
    DRIFT,
    FAILS,
    METRIC,
    PROBE,
    SILENT,
    SLOW,
    Role,
    role,
)

MAY_BE_SLOW = 0.01
"""Share of requests that may take longer than `max_p99_ms`."""
SLOW_PERIODS, SLOW_NEEDED = 3, 2
"""The number of newest periods, and how many of them must have too many slow requests."""
PROBES = 3
"""Number of probes in a row that must fail, or not run."""
_WARM_UP = 30
"""Minutes that a new endpoint and its first release may take; the first probes end it."""
RUNBOOK = "docs/how-to/runbook.md"
MEANINGS = "what-each-alarm-means"
BUDGET_BURNS = "the-error-budget-burns"
"""Anchors of sections of the runbook."""


@dataclass(frozen=True)
class Missing:
    """How missing data is treated, as CloudWatch names it, and in a sentence."""

    treatment: Literal["notBreaching", "breaching", "ignore"]
    text: str


@dataclass(frozen=True)
class BadShare:
    """Fires if more requests of a variant are bad than tolerated, and than chance explains.

    Attributes:
        nats: The evidence that a period needs (`alarm_thresholds.evidence`).
        slow_ms: From which latency on a request is slow.
        periods: How many of the newest periods count.
        needed: How many of these must have too many bad requests.
    """

    bad: Literal["failed", "slow"]
    tolerated: float
    nats: float
    slow_ms: float
    periods: int = 1
    needed: int = 1


@dataclass(frozen=True)
class EvidenceRule:
    """Fires at an evidence of 1.

    Attributes:
        metric: The metric with the evidence of each variant.
        lasts_seconds: How long an evidence is valid if it is published seldom; 0: one period.
    """

    metric: str
    lasts_seconds: int = 0


@dataclass(frozen=True)
class Burn:
    """Fires if the error budget of all versions burns too fast in one of the windows, and still does.

    Attributes:
        windows: The windows in which it must burn more than chance explains.
        nats: The evidence that these need.
        short: The window in which it must still burn; None: no such condition.
    """

    objective: Objective
    windows: tuple[BurnRule, ...]
    nats: float
    short: BurnRule | None = None


@dataclass(frozen=True)
class Silence:
    """Fires if the last probes had no sound answer, or did not run; a new endpoint has `warm_up_minutes`."""

    minutes: int
    warm_up_minutes: int


@dataclass(frozen=True)
class AlarmSpec:
    """One alarm; `condition` is None if only the platform can say when it fires.

    Attributes:
        text: What has happened, in sentences, without the last full stop.
        severity: `page` wakes somebody, `ticket` waits for the day.
        section: The anchor of its section in the runbook.
    """

    subject: str
    measure: str
    text: str
    severity: Severity
    threshold: float
    missing: Missing
    section: str = MEANINGS
    condition: BadShare | EvidenceRule | Burn | Silence | None = None

    @property
    def role(self) -> Role:
        """What it may start."""
        return role(self.measure)

    @property
    def runbook(self) -> str:
        """The address of its section in the runbook."""
        return f"{RUNBOOK}#{self.section}"


@dataclass(frozen=True, kw_only=True)
class Watch:
    """The thresholds of a stack's alarms.

    Attributes:
        period_seconds: The period of a variant's alarms.
        max_5xx_rate: The share of requests that may fail.
        max_p99_ms: How long 99 of 100 requests may take.
        nats: The evidence that a period needs, over all evaluations of a trial and the watch after it.
        drift_minutes: The longest time between two measurements of drift.
        drift_false_alarms: Accepted false alarms on drift, per year and variant.
        max_loss_rise: The share by which the loss may rise above that of the evaluation.
        probe_minutes: The time between two probes; None: never.
        custom: The project's own metrics that have an alarm.
    """

    period_seconds: int
    max_5xx_rate: float
    max_p99_ms: float
    nats: float
    drift_minutes: int = 60
    drift_false_alarms: float = 0.05
    max_loss_rise: float = LOSS_RISE
    probe_minutes: int | None = 1
    custom: tuple[CustomMetric, ...] = ()


def variant_alarms(watch: Watch, variant: str) -> tuple[AlarmSpec, ...]:
    """The alarms of a variant. Champion and challenger have the same, so a promotion changes none."""
    nothing = Missing("notBreaching", "No request, nothing bad; and the judge promotes nobody on that.")
    tolerated, slow_ms = watch.max_5xx_rate, watch.max_p99_ms
    return (
        AlarmSpec(
            variant,
            FAILS,
            f"{variant} answers more than {tolerated:.1%} of its requests with a 5XX, and more than chance explains",
            "ticket",
            tolerated,
            nothing,
            condition=BadShare("failed", tolerated, watch.nats, slow_ms),
        ),
        AlarmSpec(
            variant,
            SLOW,
            f"{variant} takes longer than {slow_ms:g} ms for more than {MAY_BE_SLOW:.0%} of its requests, and for more "
            f"than chance explains, in {SLOW_NEEDED} of {SLOW_PERIODS} periods",
            "ticket",
            MAY_BE_SLOW,
            nothing,
            condition=BadShare("slow", MAY_BE_SLOW, watch.nats, slow_ms, SLOW_PERIODS, SLOW_NEEDED),
        ),
        AlarmSpec(
            variant,
            DRIFT,
            f"{variant} gets other data than it was trained on, as surely as at most {watch.drift_false_alarms:g} "
            "false alarms a year allow; `modelstack status` names the features that moved",
            "ticket",
            1,
            Missing("notBreaching", "No drift is known. functions-failing reports that it cannot be measured."),
            # Each sweep publishes the evidence of the serving variants again, until their releases stop serving.
            condition=EvidenceRule(DRIFT_EVIDENCE, 2 * 60 * watch.drift_minutes),
        ),
        AlarmSpec(
            variant,
            CONCEPT,
            f"By its labels, the loss of {variant} has risen by more than {watch.max_loss_rise:.0%} above that of its "
            "evaluation, for days",
            "ticket",
            1,
            Missing("ignore", "No label says neither that the concept has moved nor that it is back."),
            "the-concept-has-moved",
            condition=EvidenceRule(CONCEPT_EVIDENCE),
        ),
        *(_custom_alarm(variant, metric, metric.alarm) for metric in watch.custom if metric.alarm is not None),
    )


def _custom_alarm(variant: str, metric: CustomMetric, threshold: float) -> AlarmSpec:
    beyond = "above" if metric.better == "lower" else "below"
    return AlarmSpec(
        variant,
        f"{METRIC}{metric.name}",
        f"The mean {metric.name} of the newest captured answers of {variant} is {beyond} {threshold:g}, by more than "
        "chance explains",
        "ticket",
        1,
        Missing("ignore", "No answer says neither that it is bad nor that it is good again."),
        "a-metric-of-your-own",
        condition=EvidenceRule(f"{metric.published}{EVIDENCE}"),
    )


_NOTHING_BURNS = Missing("notBreaching", "No request, nothing burns. A probe, where one runs, detects silence.")


def objective_alarms(
    objective: Objective, windows: Sequence[BurnRule], short: BurnRule, nats: float
) -> tuple[AlarmSpec, AlarmSpec]:
    """The alarms on the error budget: one pages if it burns fast, one opens a ticket if it burns steadily.

    `windows` come from `modelstack.monitoring.objectives.slo.rules`, `short` from `still`; `nats` is the evidence that
    a window needs, over all evaluations in the window of the objective.
    """
    urgent = tuple(window for window in windows if window.severity == "page")
    (lasting,) = (window for window in windows if window.severity == "ticket")
    page = AlarmSpec(
        OBJECTIVE,
        "page",
        "The error budget of all versions together burns fast enough to page somebody, by failures or by slow requests",
        "page",
        min(window.factor for window in urgent),
        _NOTHING_BURNS,
        BUDGET_BURNS,
        condition=Burn(objective, urgent, nats, short),
    )
    ticket = AlarmSpec(
        OBJECTIVE,
        "ticket",
        f"{burns(lasting)}: the objective will be missed",
        "ticket",
        lasting.factor,
        _NOTHING_BURNS,
        BUDGET_BURNS,
        condition=Burn(objective, (lasting,), nats),
    )
    return page, ticket


def burns(window: BurnRule) -> str:
    """A sentence that the budget burns too fast in a window."""
    return (
        f"Over {_span(window.seconds)} the error budget of all versions together burns more than {window.factor:g} "
        "times as fast as the objective allows, by failures or by slow requests"
    )


def _span(seconds: int) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds} seconds"


def probe_alarm(minutes: int) -> AlarmSpec:
    """The alarm on an endpoint that does not answer its probes, which run every `minutes`."""
    return AlarmSpec(
        PROBE,
        SILENT,
        f"The last {PROBES} probes had no sound answer, or no probe ran: nobody can say that the endpoint is well",
        "page",
        1,
        Missing("breaching", "A probe that does not run says as little as one that fails."),
        "the-endpoint-is-silent",
        condition=Silence(minutes, max(_WARM_UP, (PROBES + 1) * minutes)),
    )


def advance_alarm() -> AlarmSpec:
    """The alarm on a worker that does not run, for a stack without a probe, which the worker sends."""
    return AlarmSpec(
        ADVANCE,
        SILENT,
        f"The {ADVANCE} function did not run for {PROBES} minutes, so no rollout takes its next step",
        "ticket",
        1,
        Missing("breaching", "It runs each minute."),
        "a-function-fails",
        condition=Silence(1, _WARM_UP),
    )
