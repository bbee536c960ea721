"""The stack's config, typed: what may stand under `config:` in `Pulumi.<stack>.yaml`.

    settings = Settings.load({"modelstack:rollout": '{"max_minutes": 90}', "aws:region": "us-east-1"}, stack="local")
    settings.rollout.plan(settings.monitoring.period_seconds).steps[0].weight

A wrong value stops the program before anything changes, with every wrong field, its value, and what is allowed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, Self

import pulumi
from pydantic import Field, ValidationError, ValidationInfo, model_validator

from infra.config import checkout
from infra.config.kubernetes_settings import KubernetesSettings
from infra.config.mlflow_settings import MlflowSettings
from infra.config.model_settings import ModelSettings
from infra.config.monitoring_settings import MonitoringSettings
from infra.config.pipeline_settings import PipelineSettings
from infra.config.problems import Problem, Wrong, problems, unknown
from infra.config.promotion_settings import ApprovalSettings, PromotionSettings
from infra.config.provable import CAPTURED, unanswered, without_capture
from infra.config.retention_settings import RetentionSettings
from infra.config.retraining_settings import RetrainingSettings
from infra.config.rollout_settings import RolloutSettings
from infra.config.section import Section, Whose, stack_of
from infra.config.serving_settings import ServingSettings
from infra.config.slo_settings import SloSettings
from infra.config.target import is_local, second_callers, wrong_region
from infra.config.whole_numbers import whole
from services.declaration.alarms import Watch

NAMESPACE = "modelstack"
_AWS_RETENTION = {
    "versions_days": "a cluster keeps no versions of objects; allowed is to leave it out",
    "log_days": "how long logs are kept is the cluster's; allowed is to leave it out",
}
_METRICS = "rollout.judge.metrics"


class RegistrySettings(Section):
    """What happens to packages when the stack is destroyed."""

    retain: bool | None = Field(
        default=None, description="Keep archives and packages on destroy. Null: false on local stacks, true elsewhere."
    )

    def retains(self, stack: str) -> bool:
        """Whether packages and images outlive the stack."""
        return not is_local(stack) if self.retain is None else self.retain


class Settings(Section):
    """All of a stack's config. Each field is one key of the namespace `modelstack`."""

    platform: Literal["aws", "kubernetes"] = Field(
        default="aws", description="Where the stack runs: on SageMaker, or on a Kubernetes cluster."
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
        """The rollout's settings; where nothing is captured, without the defaults that captured answers give."""
        if self.serving.capture_percent:
            return self.rollout
        judge = self.rollout.judge
        metrics = {name: item for name, item in judge.metrics.items() if name not in CAPTURED}
        return self.rollout.model_copy(update={"replay": None, "judge": judge.model_copy(update={"metrics": metrics})})

    def watch(self, nats: float) -> Watch:
        """When the alarms fire, given the evidence that a period needs."""
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
        )

    @property
    def scheduled(self) -> tuple[str, ...]:
        """The handlers of the functions that run by a schedule: all but that of the rollback."""
        probe = ("probe",) if self.slo.probe_minutes else ()
        return ("advance", "drift", "labels", *probe, *(("retrain",) if self.retraining.enabled else ()))

    @model_validator(mode="after")
    def _together(self, info: ValidationInfo) -> Self:
        wrong = [*self._of_capture(), *self._of_answers()]
        if self.platform == "kubernetes":
            wrong += [*self._of_kubernetes(), *self._of_alerts(), *self._of_retention(), *self.mlflow.of_cluster()]
        else:
            wrong += [*self._of_instances(), *self._of_retraining(stack_of(info)), *self._of_no_cluster()]
            wrong += self._of_pipeline(stack_of(info))
        short = self.rollout.too_short(self.monitoring.period_seconds)
        wrong += [short.under("rollout")] if short else []
        if wrong:
            raise Wrong(wrong)
        return self

    def _of_capture(self) -> list[Problem]:
        """What is asked of captured answers when nothing is captured."""
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
        """What is asked of labels that this model's answers have no part in."""
        return [problem.under(_METRICS) for problem in unanswered(self.rollout.judge.metrics, checkout.losses())]

    def _of_retraining(self, stack: str) -> list[Problem]:
        """What retraining needs of the rest."""
        if not self.retraining.enabled:
            return []
        wrong: list[str] = []
        if self.promotion.source:
            wrong.append(f"promotion.from is {self.promotion.source!r}: a model is retrained where it is trained")
        if not checkout.can_retrain():
            wrong.append("model/parameters.py has no retrained(parameters, through)")
        if not self.serving.capture_percent:
            wrong.append("serving.capture_percent is 0, so neither drift nor a moved concept is seen")
        wrong += self._of_image(stack)
        return [Problem("retraining.enabled", f"{why}; allowed is false", True) for why in wrong]

    def _of_pipeline(self, stack: str) -> list[Problem]:
        """What the jobs of a pipeline need of the rest."""
        if not self.pipeline.remote:
            return []
        wrong: list[str] = []
        if self.promotion.source:
            wrong.append(f"promotion.from is {self.promotion.source!r}: nothing is trained here")
        if self.serving.image is not None:  # until there is one the stack is a registry, and trains nothing
            wrong += self._of_image(stack)
        return [Problem("pipeline.engine", f"{why}; allowed is local", self.pipeline.engine) for why in wrong]

    def _of_image(self, stack: str) -> list[str]:
        """What is wrong with the image of jobs; a local stack's run without one."""
        if not stack or is_local(stack) or self.retraining.image is not None:
            return []
        return ["retraining.image is null, and there is no image that trains; `make image` builds one"]

    def _of_no_cluster(self) -> list[Problem]:
        """Fields that only a cluster has."""
        given = {f"kubernetes.{name}": getattr(self.kubernetes, name) for name in self.kubernetes.model_fields_set}
        given |= {
            f"serving.{name}": getattr(self.serving, name)
            for name in ("cpu", "memory", "max_instance_count")
            if name in self.serving.model_fields_set
        }
        split = self.rollout.split
        if split is not None and split[1].sticky_header and "sticky_header" in split[1].model_fields_set:
            given[f"rollout{split[0]}.sticky_header"] = split[1].sticky_header
        why = "only stacks on a cluster have it; allowed is to leave it out, or platform: kubernetes"
        wrong = [Problem(name, why, whole(value)) for name, value in given.items()]
        if takers := self.promotion.not_of("aws"):
            wrong.append(
                Problem("promotion.to", "allowed are AWS accounts, each of 12 digits in quotes", whole(takers))
            )
        return wrong

    def _of_alerts(self) -> list[Problem]:
        """How people are told in a cluster without the Prometheus operator."""
        alerts, wrong = self.kubernetes.alerts, list[Problem]()
        why = "without the Prometheus operator, Alertmanager reads no Secret; allowed is null, and a route of your own"
        for name, receiver in (("page", alerts.page), ("ticket", alerts.ticket)):
            if self.kubernetes.rules.kind == "config_map" and receiver is not None and receiver.webhook_secret:
                wrong.append(Problem(f"kubernetes.alerts.{name}.webhook_secret", why, receiver.webhook_secret))
        return wrong

    def _of_retention(self) -> list[Problem]:
        """What a cluster does not keep for us."""
        given = {name: why for name, why in _AWS_RETENTION.items() if name in self.retention.model_fields_set}
        return [Problem(f"retention.{name}", why, getattr(self.retention, name)) for name, why in given.items()]

    def _of_kubernetes(self) -> list[Problem]:
        """What a stack on a cluster needs, and what only AWS has."""
        cluster, wrong = self.kubernetes, list[Problem]()
        for name, such in (
            ("registry", "registry.example.org/models"),
            ("prometheus", "http://prometheus.monitoring:9090"),
        ):
            if getattr(cluster, name) is None:
                wrong.append(
                    Problem(f"kubernetes.{name}", f"a stack on a cluster needs it, such as {such}", missing=True)
                )
        gateway = cluster.gateway
        if (gateway.name is None) == (gateway.class_name is None):
            why = "allowed is one of both: class, of a Gateway that the stack makes, or name, of one that is there"
            wrong.append(
                Problem("kubernetes.gateway", why, whole(gateway.model_dump(exclude_none=True, by_alias=True)))
            )
        if gateway.name is not None and gateway.tls_secret is not None:
            why = "the certificate of a Gateway that is there is its owner's; allowed is null"
            wrong.append(Problem("kubernetes.gateway.tls_secret", why, gateway.tls_secret))
        elif gateway.tls_secret is not None and gateway.host is None:
            why = "a certificate is for a host, and kubernetes.gateway.host is null; allowed is null, or both"
            wrong.append(Problem("kubernetes.gateway.tls_secret", why, gateway.tls_secret))
        if cluster.database_secret is None and self.serving.capture_percent:
            why = "kubernetes.database_secret is null, so there is no place for what is captured; allowed is 0"
            wrong.append(Problem("serving.capture_percent", why, self.serving.capture_percent))
        most = self.serving.max_instance_count
        if most is not None and most <= self.serving.instance_count:
            why = f"serving.instance_count, the least, is {self.serving.instance_count}; allowed is more, or null"
            wrong.append(Problem("serving.max_instance_count", why, most))
        if "instance_type" in self.serving.model_fields_set:
            why = "a cluster has no instance types; allowed are cpu and memory"
            wrong.append(Problem("serving.instance_type", why, self.serving.instance_type))
        if self.pipeline.remote:
            why = "a stack on a cluster has no SageMaker; allowed is local"
            wrong.append(Problem("pipeline.engine", why, self.pipeline.engine))
        if self.retraining.enabled:
            why = "on a cluster nothing is retrained yet; allowed is false"
            wrong.append(Problem("retraining.enabled", why, True))
        if takers := self.promotion.not_of("kubernetes"):
            why = "a cluster knows no accounts; allowed are groups of its users, and not everybody"
            wrong.append(Problem("promotion.to", why, whole(takers)))
        return [*wrong, *self._of_guard()]

    def _of_guard(self) -> list[Problem]:
        """What is refused of a guarded move of so many instances or pods."""
        guard = self.rollout.infrastructure
        refused = guard.refused(self.serving.instance_count) if guard else None
        return [refused.under("rollout.infrastructure")] if refused else []

    def _of_instances(self) -> list[Problem]:
        """What SageMaker refuses of so many instances, and refuses or passes over on Inf1 ("Exclusions")."""
        if not self.serving.instance_type.startswith("ml.inf1."):
            return self._of_guard()
        wrong: list[str] = []
        if self.rollout.copied is not None:
            wrong.append(
                "SageMaker has no shadow variants on Inf1; allowed is another type, or another rollout.strategy"
            )
        if self.rollout.infrastructure is not None:
            wrong.append(
                "SageMaker passes guardrails over on Inf1; allowed is another type, or rollout.infrastructure: null"
            )
        return [Problem("serving.instance_type", why, self.serving.instance_type) for why in wrong]

    @classmethod
    def load(cls, config: Mapping[str, str], stack: str) -> Settings:
        """Read and check the config of a stack.

        Args:
            config: All that is set, `namespace:name` -> JSON or text, as Pulumi gives it to a program.
            stack: The stack's name.

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
        whose = Whose(stack, given.get(f"{NAMESPACE}:platform", "aws"))
        region = wrong_region(config.get("aws:region")) if whose.platform == "aws" else None
        wrong += [*([region] if region else []), *second_callers(config)]
        # A section that is not set is checked too: its defaults may not suit this stack.
        sections = {
            name: {} if (value := given.get(f"{NAMESPACE}:{name}")) is None else value
            for name, field in cls.model_fields.items()
            if field.is_required() or f"{NAMESPACE}:{name}" in given
        }
        try:
            settings = cls.model_validate(sections, context=whose)
        except ValidationError as error:
            wrong += problems(error, NAMESPACE, cls)
        else:
            if not wrong:
                return settings
        lines = "\n".join(f"  - {line}" for line in wrong)
        raise pulumi.RunError(f"stacks/Pulumi.{stack}.yaml is not valid; nothing was changed:\n{lines}")


def _value(text: str) -> Any:
    """A value as the stack's file has it: Pulumi gives sections and numbers as JSON, and text as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text
