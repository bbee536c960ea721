"""The settings `modelstack:rollout.judge`: how a challenger is compared with the champion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from modelstack.pipeline.forms import meant
from modelstack.program.config.checkout import custom
from modelstack.program.config.problems import Problem, Wrong
from modelstack.program.config.section import Section
from modelstack.program.config.whole_numbers import whole
from modelstack.rollout.core import catalogue
from modelstack.rollout.core.plan import Plan, PlanError, Step
from modelstack.rollout.judge.metrics import Metric, MetricError, PromoteWhen

CAPTURED = frozenset(name for name, metric in catalogue.KNOWN.items() if metric.namespace == catalogue.OWN)
"""The metrics that captured answers give, with or without a label."""
LABELLED = CAPTURED - {"invalid_answers"}
"""Those that need a label."""


def is_captured(name: str) -> bool:
    """Whether captured answers give a metric, with or without a label."""
    return name in CAPTURED or name in custom().compared()


class MetricSettings(Section):
    """What is given of a metric; what is left out is taken from `modelstack.rollout.core.catalogue`."""

    margin: float | None = Field(
        default=None,
        ge=0,
        description="How much worse the challenger may be. For a rate or a mean in its own unit (0.02 of errors is "
        "two percentage points), for a latency relative to the champion's (0.5 is 50% slower). With 0, an "
        "equal challenger is hardly ever shown not worse.",
    )
    prove: bool | None = Field(
        default=None,
        description="Whether every step must show that the challenger is not worse, by evidence of 1 / alpha. If not, "
        "only the promotion waits for the metric, for evidence of 10, and not for labels that do not "
        "come.",
    )
    low: float | None = Field(default=None, description="For a mean: the least value of one observation.")
    high: float | None = Field(
        default=None,
        description="For a mean: the greatest value of one observation. Needed for absolute_error and for a mean of "
        "your own.",
    )
    kind: Literal["rate", "mean"] | None = Field(
        default=None, description="For a metric of your own: rate (0 or 1 for each answer) or mean."
    )
    better: Literal["lower", "higher"] | None = Field(
        default=None, description="For a metric of your own: which direction is good."
    )
    namespace: str | None = Field(
        default=None, min_length=1, description="For a metric of your own: its CloudWatch namespace."
    )
    metric: str | None = Field(
        default=None, min_length=1, description="For a metric of your own: its name in CloudWatch."
    )

    def of(self, name: str) -> Metric:
        """The metric of a name; ValueError if a field is missing or not allowed."""
        return catalogue.metric(name, custom().compared(), **self.given())

    def given(self) -> dict[str, Any]:
        """The fields that are set."""
        return self.model_dump(exclude_none=True)


def _without_labels() -> dict[str, MetricSettings]:
    return {
        "errors": MetricSettings(margin=0.02),
        "latency_p99": MetricSettings(margin=0.5, prove=False),
        "invalid_answers": MetricSettings(margin=0.02, prove=False),
    }


class JudgeSettings(Section):
    """What a challenger must show."""

    alpha: float = Field(
        default=0.05,
        ge=1e-9,
        le=0.5,
        description="Probability of rolling back a challenger that is not worse, over the whole trial and all metrics.",
    )
    min_requests: int = Field(
        default=50, ge=1, le=1_000_000_000, description="How many requests the challenger must answer in each step."
    )
    promote_when: PromoteWhen = Field(
        default="not_worse", description="What the metrics with prove: true must show before a promotion."
    )
    metrics: dict[str, MetricSettings] = Field(
        default_factory=_without_labels,
        description="Metric name -> what is tolerated. These metrics are compared, and those of monitoring/ that have "
        "a margin. By default also the loss that labels give: log_loss, accuracy or absolute_error, by the model's "
        "answer.json.",
    )

    @field_validator("metrics")
    @classmethod
    def _judgeable(cls, metrics: dict[str, MetricSettings]) -> dict[str, MetricSettings]:
        wrong: list[Problem] = []
        made: list[Metric] = []
        for name, settings in metrics.items():
            try:
                made.append(settings.of(name))
            except (MetricError, catalogue.UnknownMetric) as error:
                wrong.append(_of_metric(name, settings.given(), error))
        if not wrong:
            try:
                Plan((Step(1, 0),), metrics=tuple(made))
            except PlanError as error:
                raise ValueError(error.rule) from None
        if wrong:
            raise Wrong(wrong)
        return metrics

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        problem = not_better(item.of(name) for name, item in self.metrics.items())
        if self.promote_when == "better" and problem:
            raise Wrong([problem])
        return self


def _of_metric(name: str, given: Mapping[str, Any], error: MetricError | catalogue.UnknownMetric) -> Problem:
    if isinstance(error, catalogue.UnknownMetric):
        return Problem(f".{name}", f"{error}{meant(name, catalogue.KNOWN)}")
    if error.missing:
        return Problem(f".{name}.{error.field}", error.expected)
    if error.field in given:
        return Problem(f".{name}.{error.field}", error.expected, whole(given[error.field]))
    return Problem(f".{name}", error.told, whole(given))


def not_better(metrics: Iterable[Metric]) -> Problem | None:
    """Why `promote_when: better` can never be met; None when it can.

    A quantile with a margin can only be shown not worse, because it counts answers slower than the margin allows.
    """
    if any(metric.prove and (metric.kind != "quantile" or metric.margin == 0) for metric in metrics):
        return None
    return Problem(
        ".promote_when",
        "no metric with prove: true can be shown better, as of a latency with a margin only `not worse` can; allowed "
        "is not_worse, or prove: true on a rate, a mean, or a latency with margin 0",
        "better",
    )


def without_capture(metrics: Mapping[str, MetricSettings]) -> list[Problem]:
    """Metrics to prove from captured answers while none are captured."""
    text = (
        "serving.capture_percent is 0, so no answer is there to be looked at, or for a label to meet; allowed is false"
    )
    return [_proof(name, given, text) for name, given in _to_prove(metrics) if is_captured(name)]


def unanswered(metrics: Mapping[str, MetricSettings], losses: Sequence[str]) -> list[Problem]:
    """Metrics to prove from labels that do not apply to this model's answers; `losses` lists those that do."""
    can = f"labels of its answers give {' and '.join(losses)}" if losses else "it says nothing of its answers"
    text = f"by model/answer.json, {can}, so no such value will come; allowed is false"
    return [_proof(name, given, text) for name, given in _to_prove(metrics) if name in LABELLED and name not in losses]


def in_shadow(metrics: Mapping[str, MetricSettings]) -> list[Problem]:
    """Metrics to prove that have no data in a shadow step: those that a service publishes itself."""
    text = (
        "in a shadow step no service sees the challenger's answers, so none publishes a metric of them; allowed is "
        "false, or a strategy without shadow"
    )
    known = catalogue.KNOWN.keys() | custom().compared().keys()
    return [_proof(name, given, text) for name, given in _to_prove(metrics) if name not in known]


def _to_prove(metrics: Mapping[str, MetricSettings]) -> Iterator[tuple[str, MetricSettings]]:
    for name, given in metrics.items():
        if given.of(name).prove:
            yield name, given


def _proof(name: str, given: MetricSettings, why: str) -> Problem:
    return Problem(f".{name}.prove", why, True, default=not given.prove)
