"""Validation of the judge's metrics: a metric that can never prove what a promotion needs is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from infra.config.problems import Problem
from rollout.core import catalogue
from rollout.judge.metrics import Metric

if TYPE_CHECKING:  # it imports this module
    from infra.config.judge_settings import MetricSettings

CAPTURED = frozenset(name for name, metric in catalogue.KNOWN.items() if metric.namespace == catalogue.OWN)
"""The metrics that captured answers give, with or without a label."""
LABELLED = CAPTURED - {"invalid_answers"}
"""Those that need a label."""


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
    return [_proof(name, given, text) for name, given in _to_prove(metrics) if name in CAPTURED]


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
    return [_proof(name, given, text) for name, given in _to_prove(metrics) if name not in catalogue.KNOWN]


def _to_prove(metrics: Mapping[str, MetricSettings]) -> Iterator[tuple[str, MetricSettings]]:
    for name, given in metrics.items():
        if given.of(name).prove:
            yield name, given


def _proof(name: str, given: MetricSettings, why: str) -> Problem:
    return Problem(f".{name}.prove", why, True, default=not given.prove)
