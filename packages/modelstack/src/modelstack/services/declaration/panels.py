"""The panels of a stack's dashboard as data: each platform compiles them, and the console draws them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from modelstack.monitoring import published
from modelstack.monitoring.custom import RECENT, CustomMetric
from modelstack.monitoring.objectives.slo import Objective
from modelstack.rollout.core.catalogue import EVENTS, INVALID
from modelstack.services.declaration.alarm_names import LATE_MINUTES

REQUESTS, FAILED, REFUSED, LATENCY = "requests", "failed", "refused", "latency"
"""The platform's own metrics of a variant: all requests, 5XX, 4XX, and milliseconds."""
VARIANT, FEATURE, SEGMENT, EVENT = "variant", "feature", "segment", "event"
"""Dimensions that distinguish the curves of one metric."""
QUANTILES = ("p50", "p90", "p99")
UNUSUAL = (published.OUT_OF_RANGE, published.NEW_CODES, published.SCHEMA)
"""Counts of rows that are unlike the training data."""
OUTPUT = "panels"
"""The stack output with the `PanelSettings`, without the objective, which is the output `slo`."""

Stat = Literal["count", "share", "rate", "maximum", "average", "p50", "p90", "p99"]


@dataclass(frozen=True)
class CurveSpec:
    """The curves of one metric, one for each value of its dimensions.

    Attributes:
        metric: A published metric, or one of those that the platform measures.
        stat: The value of each point: occurrences in the interval (`count`), percent of all curves (`share`) or of the
            variant's requests (`rate`), `maximum` or `average` of the interval, or a quantile.
        label: Their common label; empty if the dimensions say it.
    """

    metric: str
    stat: Stat = "count"
    by: tuple[str, ...] = (VARIANT,)
    label: str = ""


@dataclass(frozen=True)
class PanelSpec:
    """One graph.

    Attributes:
        curves: Its curves; none if a platform has its own queries.
        line: A horizontal line where an alarm fires; None: no line.
        seconds: The shortest interval between two points; the whole window of a budget.
        kind: `curves` over time, `events` at their times, or the newest value of a `budget`.
    """

    title: str
    unit: str
    curves: tuple[CurveSpec, ...] = ()
    line: float | None = None
    seconds: int = 60
    kind: Literal["curves", "events", "budget"] = "curves"


@dataclass(frozen=True)
class Query:
    """One query of a panel in its platform's language; `inputs` are the metrics that `text` refers to, by name."""

    text: str
    label: str = ""
    by: tuple[str, ...] = ()
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])


@dataclass(frozen=True)
class Panel:
    """A panel with its queries; `unfinished` if its newest point may count an interval that has not ended."""

    spec: PanelSpec
    queries: tuple[Query, ...]
    unfinished: bool = False


@dataclass(frozen=True)
class CustomPanel:
    """A metric of the project's own. Where it has an alarm, `line` is its threshold."""

    name: str
    published: str
    unit: str
    line: float | None = None

    @classmethod
    def of(cls, metric: CustomMetric) -> CustomPanel:
        """The panel of a metric."""
        unit = "share of captured answers" if metric.is_rate else "mean of captured answers"
        return cls(metric.name, metric.published, unit, metric.alarm)


@dataclass(frozen=True)
class PanelSettings:
    """The parts of a stack's config that its panels depend on.

    Attributes:
        max_p99_ms: From which latency on an alarm fires; None: not known.
        max_5xx_rate: From which share of failed requests on an alarm fires; None: not known.
        custom: The project's own metrics.
        period_seconds: The period of the alarms.
        segments: Whether errors are counted by segment.
        objective: None: not known.
    """

    max_p99_ms: float | None = None
    period_seconds: int = 60
    drift_minutes: int = 60
    segments: bool = False
    objective: Objective | None = None
    max_5xx_rate: float | None = None
    custom: tuple[CustomPanel, ...] = ()

    def to_output(self) -> dict[str, Any]:
        """The stack output `OUTPUT`."""
        found = {name: value for name, value in asdict(self).items() if name not in ("objective", "custom")}
        return {**found, "custom": [asdict(one) for one in self.custom]} if self.custom else found

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> PanelSettings:
        """Read the settings of a live stack, with defaults for missing ones. Numbers may have become floats."""
        told, slo = outputs.get(OUTPUT) or {}, outputs.get("slo")
        defaults = cls()
        return cls(
            told.get("max_p99_ms"),
            int(told.get("period_seconds", defaults.period_seconds)),
            int(told.get("drift_minutes", defaults.drift_minutes)),
            bool(told.get("segments")),
            Objective.from_dict(slo) if slo else None,
            told.get("max_5xx_rate"),
            tuple(CustomPanel(**one) for one in told.get("custom", ())),
        )


def service(settings: PanelSettings) -> tuple[PanelSpec, ...]:
    """Which variants respond, how fast, and what happened to releases."""
    seconds = max(settings.period_seconds, 60)
    slow = tuple(CurveSpec(LATENCY, stat, label=stat) for stat in QUANTILES)
    errors = (CurveSpec(FAILED, "rate", label="5XX"), CurveSpec(REFUSED, "rate", label="4XX"))
    tolerated = None if settings.max_5xx_rate is None else round(100 * settings.max_5xx_rate, 6)
    happened = (CurveSpec(EVENTS, by=(EVENT,)),)
    return (
        PanelSpec("Requests", "requests", (CurveSpec(REQUESTS),), seconds=seconds),
        PanelSpec("Share of traffic", "% of requests", (CurveSpec(REQUESTS, "share"),), seconds=seconds),
        PanelSpec("What happened to releases", "events", happened, seconds=seconds, kind="events"),
        PanelSpec("Model latency", "ms", slow, settings.max_p99_ms, seconds),
        PanelSpec("Errors", "% of requests", errors, tolerated, seconds),
    )


def model_input(settings: PanelSettings) -> tuple[PanelSpec, ...]:
    """How requests differ from the training data."""
    seconds, features = 60 * settings.drift_minutes, (VARIANT, FEATURE)
    drift = (CurveSpec(published.DRIFT_EVIDENCE, "maximum"),)
    distance = (CurveSpec(published.DRIFT_DISTANCE, "maximum", features),)
    rows = tuple(CurveSpec(name, label=name) for name in (*UNUSUAL, published.CAPTURE_UNREADABLE))
    return (
        PanelSpec("Drift: evidence that requests differ from training", "evidence", drift, 1, seconds),
        PanelSpec("Drift: distance from training, by feature", "distance", distance, seconds=seconds),
        PanelSpec("Rows unlike training's", "rows", rows, seconds=seconds),
        PanelSpec("Values that are missing", "rows", (CurveSpec(published.MISSING, by=features),), seconds=seconds),
    )


def budget(objective: Objective) -> PanelSpec:
    """The error budgets left over the objective's window, in percent."""
    seconds = 60 * -(-objective.window_seconds // 60)
    title = f"Error budget left, % of {objective.window_seconds / 86400:g} days"
    return PanelSpec(title, "%", seconds=seconds, kind="budget")


_MEASURES = {
    "Accuracy": ("Accuracy by the newest labels", "share of answers"),
    "LogLoss": ("Log-loss by the newest labels", "nats"),
    "AbsoluteError": ("Absolute error by the newest labels", "the label's unit"),
    "AUC": ("AUC by the newest labels", "AUC"),
    "CalibrationError": ("Calibration error", "share of answers"),
}


def quality(settings: PanelSettings) -> tuple[PanelSpec, ...]:
    """How correct the predictions were, and which labels and predictions could not be used."""
    seconds = max(settings.period_seconds, 60)

    def interval(title: str, unit: str, metric: str, line: float | None = None) -> PanelSpec:
        names = (f"{metric}{end}" for end in ("", "Low", "High"))
        curves = tuple(CurveSpec(name, "average", label=name) for name in names)
        return PanelSpec(f"{title}, with its interval", unit, curves, line, seconds)

    errors = (CurveSpec(published.SEGMENT_ERROR, "average", (VARIANT, SEGMENT)),)
    segments = PanelSpec("Error by segment, by the newest labels", "error", errors, seconds=seconds)
    concept = (CurveSpec(published.CONCEPT_EVIDENCE, "maximum"),)
    unusable = tuple(CurveSpec(name, by=(), label=name) for name in published.UNUSABLE)
    problems = "Labels and answers that could not be used, by what is wrong"
    return (
        *(interval(*panel, f"{published.REALISED}{name}") for name, panel in _MEASURES.items()),
        *(
            interval(f"{one.name} of the newest", one.unit, f"{one.published}{RECENT}", one.line)
            for one in settings.custom
        ),
        *((segments,) if settings.segments else ()),
        interval("Accuracy, estimated before labels come", "share of answers", f"{published.ESTIMATED}Accuracy"),
        PanelSpec("Evidence that the concept has moved", "evidence", concept, 1, seconds),
        PanelSpec(problems, "labels or answers", unusable, seconds=seconds),
        PanelSpec("Answers that break the contract", "answers", (CurveSpec(INVALID),), seconds=seconds),
    )


LATE = PanelSpec("How late captures and labels are counted", "seconds", line=60 * LATE_MINUTES)
COMPARED_REQUESTS = PanelSpec("Requests", "requests", (CurveSpec(REQUESTS),))
COMPARED_FAILURES = PanelSpec("Failed or refused", "% of requests")
COMPARED_LATENCY = PanelSpec("Model latency", "ms", tuple(CurveSpec(LATENCY, stat, label=stat) for stat in QUANTILES))
"""The panels by which two versions are compared."""
