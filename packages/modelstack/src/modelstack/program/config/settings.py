"""The stack's config, typed: everything under `config:` in `Pulumi.<stack>.yaml`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

import pulumi
from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from modelstack.monitoring.custom import CustomMetric
from modelstack.monitoring.objectives.slo import Objective
from modelstack.program.config import checkout
from modelstack.program.config.judge_settings import MetricSettings, is_captured, unanswered, without_capture
from modelstack.program.config.kubernetes_settings import BucketName, KubernetesSettings
from modelstack.program.config.mlflow_settings import MlflowSettings
from modelstack.program.config.model_settings import ModelSettings
from modelstack.program.config.monitoring_settings import MonitoringSettings
from modelstack.program.config.problems import Allowed, Problem, Wrong, problems, unknown
from modelstack.program.config.promotion_settings import ApprovalSettings, PromotionSettings
from modelstack.program.config.retention_settings import RetentionSettings
from modelstack.program.config.retraining_settings import RetrainingSettings
from modelstack.program.config.rollout_settings import RolloutSettings
from modelstack.program.config.section import Section, stack_of
from modelstack.program.config.serving_settings import ServingSettings
from modelstack.program.config.slo_settings import SloSettings
from modelstack.program.config.target import is_local
from modelstack.program.config.whole_numbers import whole
from modelstack.services.declaration.alarms import Watch
from modelstack.services.declaration.panels import CustomPanel, PanelSettings
from modelstack.services.measuring import Measuring
from modelstack.services.platform_registry import DEFAULT, UnknownPlatform, names, platform

NAMESPACE = "modelstack"
_METRICS = "rollout.judge.metrics"


class PipelineSettings(Section):
    """Who runs the steps that make a package."""

    engine: Literal["local", "sagemaker"] = Field(
        default="local",
        description="local: the machine that runs `pulumi up`. sagemaker: an execution of a pipeline of SageMaker, "
        "which `pulumi up` begins and waits for; not on Kubernetes. Its jobs run in `retraining.image`, each for at "
        "most `retraining.max_minutes`. Those that run the model's code run on `retraining.instance_type`, "
        "if it is set.",
    )

    @property
    def remote(self) -> bool:
        """Whether the stack has its own pipeline."""
        return self.engine != "local"


class RegistrySettings(Section):
    """What happens to packages when the stack is destroyed."""

    retain: bool | None = Field(
        default=None, description="Keep archives and packages on destroy. Null: false on local stacks, true elsewhere."
    )
    bucket: BucketName | None = Field(
        default=None,
        description="The bucket that the program brings, by `registry(bucket=...)`; on AWS alone. Null: none.",
    )

    def retains(self, stack: str) -> bool:
        """Whether packages and images outlive the stack."""
        return not is_local(stack) if self.retain is None else self.retain


_A_PLATFORM = "the name of an installed platform, such as aws or kubernetes"


class Settings(Section):
    """A stack's config. Each field is one key of the namespace `modelstack`."""

    platform: Annotated[str, Allowed(_A_PLATFORM)] = Field(
        default=DEFAULT, description="Where the stack runs: on SageMaker, or on a Kubernetes cluster."
    )
    model: ModelSettings
    pipeline: PipelineSettings
    serving: ServingSettings
    rollout: RolloutSettings
    monitoring: MonitoringSettings
    slo: SloSettings
    retraining: RetrainingSettings
    promotion: PromotionSettings
    approval: ApprovalSettings
    registry: RegistrySettings
    retention: RetentionSettings
    kubernetes: KubernetesSettings
    mlflow: MlflowSettings

    @property
    def trial(self) -> RolloutSettings:
        """The rollout's settings with the defaults that follow from the model and from what is captured.

        By default the loss that labels give is compared too, and the project's own metrics always are. Without capture
        there is no default that needs answers.
        """
        judge, captured = self.rollout.judge, self.serving.capture_percent > 0
        found = checkout.loss() if captured and "metrics" not in judge.model_fields_set else None
        own = checkout.custom().compared().keys() - judge.metrics.keys() if captured else ()
        if captured and found is None and not own:
            return self.rollout
        metrics = {name: item for name, item in judge.metrics.items() if captured or not is_captured(name)}
        metrics |= {found[0]: MetricSettings.model_validate(found[1])} if found else {}
        metrics |= {name: MetricSettings() for name in sorted(own)}
        changed: dict[str, Any] = {"judge": judge.model_copy(update={"metrics": metrics})}
        return self.rollout.model_copy(update=changed if captured else {**changed, "replay": None})

    def watch(self, nats: float) -> Watch:
        """The alarm settings. `nats` is the evidence that a period needs."""
        monitoring = self.monitoring
        return Watch(
            period_seconds=monitoring.period_seconds,
            max_5xx_rate=monitoring.max_5xx_rate,
            max_p99_ms=monitoring.max_p99_ms,
            nats=nats,
            drift_minutes=monitoring.drift_minutes,
            drift_false_alarms=monitoring.drift_false_alarms,
            max_loss_rise=monitoring.max_loss_rise,
            probe_minutes=self.slo.probe_minutes,
            custom=tuple(one for one in self._custom() if one.alarm is not None),
        )

    def panels(self, objective: Objective) -> PanelSettings:
        """The settings of the dashboard's panels."""
        return replace(self.monitoring.panels(objective), custom=tuple(map(CustomPanel.of, self._custom())))

    def _custom(self) -> list[CustomMetric]:
        return list(checkout.custom().each.values()) if self.serving.capture_percent else []

    def measuring(self) -> Measuring:
        """The measurement settings of the stack's endpoint."""
        monitoring = self.monitoring
        return Measuring(
            drift_minutes=monitoring.drift_minutes,
            drift_false_alarms=monitoring.drift_false_alarms,
            labels_minutes=monitoring.labels_minutes,
            labels_days=monitoring.labels_days,
            max_loss_rise=monitoring.max_loss_rise,
            concept_false_alarms=monitoring.concept_false_alarms,
            segments=tuple(monitoring.segments),
            requests_days=self.retention.requests_days,
            probe_minutes=self.slo.probe_minutes or 0,
            custom=checkout.custom().digest if self.serving.capture_percent else "",
        )

    @property
    def scheduled(self) -> tuple[str, ...]:
        """The handlers of the functions that run on a schedule: all except the rollback."""
        return ("advance", "drift", "labels", *(("retrain",) if self.retraining.enabled else ()))

    @field_validator("platform")
    @classmethod
    def _installed(cls, name: str) -> str:
        try:
            return platform(name).name
        except UnknownPlatform:
            raise ValueError(f"allowed is {_A_PLATFORM}; installed are {', '.join(names())}") from None

    @model_validator(mode="after")
    def _together(self, info: ValidationInfo) -> Self:
        wrong = [*self._of_capture(), *self._of_answers()]
        wrong += platform(self.platform).use("problems")(self, stack_of(info))
        short = self.rollout.too_short(self.monitoring.period_seconds)
        wrong += [short.under("rollout")] if short else []
        if wrong:
            raise Wrong(wrong)
        return self

    def _of_capture(self) -> list[Problem]:
        rollout = self.rollout
        if self.serving.capture_percent:
            return []
        wrong = [problem.under(_METRICS) for problem in without_capture(rollout.judge.metrics)]
        if rollout.replay is not None and "replay" in rollout.model_fields_set:
            given = whole(rollout.replay.model_dump(exclude_unset=True))
            why = "serving.capture_percent is 0, so nothing is captured; allowed is null"
            wrong.append(Problem("rollout.replay", why, given))
        return wrong

    def _of_answers(self) -> list[Problem]:
        return [problem.under(_METRICS) for problem in unanswered(self.rollout.judge.metrics, checkout.losses())]

    def guard_problems(self) -> list[Problem]:
        """Problems of a guarded move with the configured number of instances."""
        guard = self.rollout.infrastructure
        refused = guard.refused(self.serving.instance_count) if guard else None
        return [refused.under("rollout.infrastructure")] if refused else []

    @classmethod
    def load(cls, config: Mapping[str, str], stack: str) -> Settings:
        """Read and check the config of a stack. `config` maps `namespace:name` to JSON or text, as Pulumi passes it.

        Raises:
            pulumi.RunError: Something is wrong; the message lists every wrong field, its value and what is allowed.
        """
        given = {key: _value(text) for key, text in sorted(config.items()) if key.startswith(f"{NAMESPACE}:")}
        wrong = [
            unknown(key, name, given[key], cls.model_fields)
            for key in given
            if (name := key.partition(":")[2]) not in cls.model_fields
        ]
        if not re.fullmatch(r"[a-z0-9-]+", stack):
            wrong.append(Problem(f"stack name {stack!r}", "allowed are lower-case letters, digits and hyphens"))
        with suppress(UnknownPlatform):  # which is refused as a field
            chosen = platform(str(given.get(f"{NAMESPACE}:platform", DEFAULT)))
            wrong += chosen.use("provider_problems")(config) if chosen.provider_problems else []
        # A section that is not set is checked too: its defaults may not suit this stack.
        sections = {
            name: {} if (value := given.get(f"{NAMESPACE}:{name}")) is None else value
            for name, field in cls.model_fields.items()
            if field.is_required() or f"{NAMESPACE}:{name}" in given
        }
        try:
            settings = cls.model_validate(sections, context=stack)
        except ValidationError as error:
            wrong += problems(error, NAMESPACE, cls)
        else:
            if not wrong:
                return settings
        lines = "\n".join(f"  - {line}" for line in wrong)
        raise pulumi.RunError(f"stacks/Pulumi.{stack}.yaml is not valid; nothing was changed:\n{lines}")


def _value(text: str) -> Any:
    """Pulumi passes sections and numbers as JSON, and text as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text
