"""Config checks that only stacks on AWS have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstack.program.config import checkout
from modelstack.program.config.problems import Problem
from modelstack.program.config.promotion_settings import ACCOUNT
from modelstack.program.config.slo_settings import LEAST_DAYS, MOST_DAYS
from modelstack.program.config.target import is_local
from modelstack.program.config.whole_numbers import whole

if TYPE_CHECKING:  # Settings imports this module through the platform
    from modelstack.program.config.settings import Settings


def problems(settings: Settings, stack: str) -> list[Problem]:
    """Every wrong value, with what is allowed."""
    return [
        *_of_instances(settings),
        *_of_retraining(settings, stack),
        *_of_no_cluster(settings),
        *_of_pipeline(settings, stack),
        *(_of_minutes(settings) if stack and not is_local(stack) else []),
    ]


def _of_minutes(settings: Settings) -> list[Problem]:
    days, period, wrong = settings.slo.window_days, settings.monitoring.period_seconds, list[Problem]()
    if days is not None and days < LEAST_DAYS:
        why = (
            "SageMaker's metrics come once a minute, too seldom for the windows of such an objective; allowed is a "
            f"number from {LEAST_DAYS} to {MOST_DAYS} on AWS, or null"
        )
        wrong.append(Problem("slo.window_days", why, days))
    if period % 60:
        why = "SageMaker's metrics come once a minute, so allowed is a multiple of 60 on AWS"
        wrong.append(Problem("monitoring.period_seconds", why, period))
    return wrong


def _of_retraining(settings: Settings, stack: str) -> list[Problem]:
    if not settings.retraining.enabled:
        return []
    wrong: list[str] = []
    if settings.promotion.source:
        wrong.append(f"promotion.from is {settings.promotion.source!r}: a model is retrained where it is trained")
    if not checkout.can_retrain():
        wrong.append("model/parameters.py has no retrained(parameters, through)")
    if not settings.serving.capture_percent:
        wrong.append("serving.capture_percent is 0, so neither drift nor a moved concept is seen")
    wrong += _of_image(settings, stack)
    return [Problem("retraining.enabled", f"{why}; allowed is false", True) for why in wrong]


def _of_pipeline(settings: Settings, stack: str) -> list[Problem]:
    if not settings.pipeline.remote:
        return []
    wrong: list[str] = []
    if settings.promotion.source:
        wrong.append(f"promotion.from is {settings.promotion.source!r}: nothing is trained here")
    if settings.serving.image is not None:  # without one the stack is only a registry, and trains nothing
        wrong += _of_image(settings, stack)
    return [Problem("pipeline.engine", f"{why}; allowed is local", settings.pipeline.engine) for why in wrong]


def _of_image(settings: Settings, stack: str) -> list[str]:
    if not stack or is_local(stack) or settings.retraining.image is not None:
        return []
    return ["retraining.image is null, and there is no image that trains; `make image` builds one"]


def _of_no_cluster(settings: Settings) -> list[Problem]:
    given = {f"kubernetes.{name}": getattr(settings.kubernetes, name) for name in settings.kubernetes.model_fields_set}
    given |= {
        f"serving.{name}": getattr(settings.serving, name)
        for name in ("cpu", "memory", "max_instance_count")
        if name in settings.serving.model_fields_set
    }
    split = settings.rollout.split
    if split is not None and split[1].sticky_header and "sticky_header" in split[1].model_fields_set:
        given[f"rollout{split[0]}.sticky_header"] = split[1].sticky_header
    why = "only stacks on a cluster have it; allowed is to leave it out, or platform: kubernetes"
    wrong = [Problem(name, why, whole(value)) for name, value in given.items()]
    if takers := [one for one in settings.promotion.to if not ACCOUNT.fullmatch(one)]:
        wrong.append(Problem("promotion.to", "allowed are AWS accounts, each of 12 digits in quotes", whole(takers)))
    return wrong


def _of_instances(settings: Settings) -> list[Problem]:
    """Source: "Exclusions" of the SageMaker deployment guardrails, for Inf1."""
    if not settings.serving.instance_type.startswith("ml.inf1."):
        return settings.guard_problems()
    wrong: list[str] = []
    if settings.rollout.copied is not None:
        wrong.append("SageMaker has no shadow variants on Inf1; allowed is another type, or another rollout.strategy")
    if settings.rollout.infrastructure is not None:
        wrong.append(
            "SageMaker passes guardrails over on Inf1; allowed is another type, or rollout.infrastructure: null"
        )
    return [Problem("serving.instance_type", why, settings.serving.instance_type) for why in wrong]
