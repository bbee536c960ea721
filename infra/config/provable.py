"""Which metrics can never show what a promotion needs? Said before anything changes: such a trial would never end.

Problems are of fields below `judge` or `judge.metrics`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from infra.config.problems import Problem
from rollout.core import catalogue
from rollout.judge.metrics import Metric

CAPTURED = frozenset(name for name, metric in catalogue.KNOWN.items() if metric.namespace == catalogue.OWN)
"""The metrics that captured answers give, with a label or alone."""
LABELLED = CAPTURED - {"invalid_answers"}
"""Those of them that need a label."""


class ConfiguredMetric(Protocol):
    """What the config gives of a metric."""

    @property
    def prove(self) -> bool | None:
        """Whether it must be shown before a promotion; None for what is usual for the metric."""
        ...

    def of(self, name: str) -> Metric:
        """The metric of a name."""
        ...


def not_better(metrics: Iterable[Metric]) -> Problem | None:
    """Why `promote_when: better` can never be met; None when it can.

    Of a quantile with a margin only "not worse" can be shown, as its counts are those of answers slower than the margin
    allows.
    """
    if any(metric.prove and (metric.kind != "quantile" or metric.margin == 0) for metric in metrics):
        return None
    return Problem(
        ".promote_when",
        "no metric with prove: true can be shown better, as of a latency with a margin only `not worse` can; allowed "
        "is not_worse, or prove: true on a rate, a mean, or a latency with margin 0",
        "better",
    )


def without_capture(metrics: Mapping[str, ConfiguredMetric]) -> list[Problem]:
    """What is to be proven by captured answers while none is captured."""
    text = (
        "serving.capture_percent is 0, so no answer is there to be looked at, or for a label to meet; allowed is false"
    )
    return [_proof(name, given, text) for name, given in _to_prove(metrics) if name in CAPTURED]


def unanswered(metrics: Mapping[str, ConfiguredMetric], losses: Sequence[str]) -> list[Problem]:
    """What is to be proven by labels that say nothing of this model's answers.

    Args:
        metrics: Name -> what the config gives of it.
        losses: What labels of the model's answers give, by its `answer.json`.
    """
    can = f"labels of its answers give {' and '.join(losses)}" if losses else "it says nothing of its answers"
    text = f"by model/answer.json, {can}, so no such value will come; allowed is false"
    return [_proof(name, given, text) for name, given in _to_prove(metrics) if name in LABELLED and name not in losses]


def in_shadow(metrics: Mapping[str, ConfiguredMetric]) -> list[Problem]:
    """What is to be proven in a shadow step, though nothing can be known of it there.

    The platform counts what a shadow answers, and labels are joined with its answers as with the champion's.
    """
    text = (
        "in a shadow step no service sees the challenger's answers, so none publishes a metric of them; allowed is "
        "false, or a strategy without shadow"
    )
    return [_proof(name, given, text) for name, given in _to_prove(metrics) if name not in catalogue.KNOWN]


def _to_prove(metrics: Mapping[str, ConfiguredMetric]) -> Iterator[tuple[str, ConfiguredMetric]]:
    """Each metric that must be proven."""
    for name, given in metrics.items():
        if given.of(name).prove:
            yield name, given


def _proof(name: str, given: ConfiguredMetric, why: str) -> Problem:
    return Problem(f".{name}.prove", why, True, default=not given.prove)
