"""The stack's config, typed: what may stand under `config:` in `Pulumi.<stack>.yaml`.

    settings = Settings.load({"modelstack:rollout": '{"max_minutes": 90}', "aws:region": "us-east-1"}, stack="local")
    settings.rollout.plan(settings.monitoring.period_seconds).steps[0].weight

A wrong value stops the program before anything changes, with every wrong field, its value, and what is allowed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

import pulumi
from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from infra.config import checkout
from infra.config.problems import Allowed, NotAllowed, Problem, Wrong, no_metric, problems, unknown
from infra.config.provable import CAPTURED, unanswered, without_capture
from infra.config.retention_settings import RetentionSettings
from infra.config.retraining_settings import RetrainingSettings
from infra.config.rollout_settings import RolloutSettings
from infra.config.section import Image, InstanceType, Section, on_aws, stack_of
from infra.config.slo_settings import SloSettings
from infra.config.target import is_local, second_callers, wrong_region
from infra.config.whole_numbers import whole
from monitoring.labels.concept import FALSE_ALARMS, LOSS_RISE

NAMESPACE = "modelstack"
_METRICS = "rollout.judge.metrics"
LONGEST_NAME, LONGEST_PREFIX = 30, 40
MOST_SEGMENTS = 3
MOST_ACCOUNTS = 10
LONGEST_PERIOD = 3600


class Gate(Section):
    """The bounds of one metric. A model outside them is not released."""

    min: float | None = Field(default=None, description="The least value that is allowed, inclusive.")
    max: float | None = Field(default=None, description="The largest value that is allowed, inclusive.")

    @field_validator("max")
    @classmethod
    def _above_min(cls, most: float | None, info: ValidationInfo) -> float | None:
        least = info.data.get("min")
        if most is not None and least is not None and least > most:
            raise ValueError(f"allowed is a number from min on, which is {least:g}; or no value passes")
        return most

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("allowed is min, max, or both, each a number")
        return self


def _reported(metric: str) -> str:
    known = checkout.metrics()
    if metric not in known:
        raise ValueError(no_metric(metric, known))
    return metric


Metric = Annotated[str, AfterValidator(_reported)]


class ModelSettings(Section):
    """What is trained, and what it must show before it is released."""

    name: Annotated[
        str, Allowed(f"1 to {LONGEST_NAME} lower-case letters, digits and hyphens, a letter first, no hyphen last")
    ] = Field(
        default="flight-delay",
        pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$",
        max_length=LONGEST_NAME,
        validate_default=True,
        description="Names everything in the cloud.",
    )
    parameters: dict[str, JsonValue] = Field(
        default_factory=dict,
        validate_default=True,
        description="Parameters of the training, as `model/` documents them. They are part of the recipe.",
    )
    gates: dict[Metric, Gate] = Field(
        default_factory=dict,
        description="Metric name -> its bounds. The metrics are those of the evaluation, on later data than the model "
        "was trained on.",
    )

    @field_validator("name")
    @classmethod
    def _short(cls, name: str, info: ValidationInfo) -> str:
        prefix = f"{name}-{stack_of(info)}"
        if len(prefix) > LONGEST_PREFIX:
            raise ValueError(
                f"with the stack's name it makes {prefix!r}, {len(prefix)} characters; allowed are {LONGEST_PREFIX}"
            )
        return name

    @field_validator("parameters")
    @classmethod
    def _understood(cls, parameters: dict[str, JsonValue]) -> dict[str, JsonValue]:
        wrong = checkout.wrong_parameters(parameters)
        if wrong:
            raise Wrong(wrong)
        return parameters


class ServingSettings(Section):
    """The instances behind a release."""

    instance_type: InstanceType = Field(default="ml.m5.large", description="What a variant runs on.")
    instance_count: int = Field(default=1, ge=1, le=100, description="Instances per variant.")
    image: Image | None = Field(
        default=None,
        description="The serving image. Null: on a local stack, a process serves; elsewhere only the registry is "
        "made, so that you can push the image to it.",
    )
    capture_percent: int = Field(
        default=100,
        ge=0,
        le=100,
        description="Percent of requests whose copies are kept (captured), for drift, labels and the replay gate.",
    )

    @property
    def instances(self) -> str:
        """Number and type, as `Release` has them."""
        return f"{self.instance_count} x {self.instance_type}"


class MonitoringSettings(Section):
    """When an alarm rings."""

    REPLACED: ClassVar[Mapping[str, str]] = {
        "max_drift_psi": "drift is no longer told by a threshold on an index; allowed is drift_false_alarms, how many "
        "false alarms a year are tolerated",
        "drift_min_rows": "how many rows drift is told from follows from the training data; leave it out",
        "loss_false_alarm_labels": "a moved concept is told by days of labels; allowed is concept_false_alarms, how "
        "many false alarms a year are tolerated",
    }

    period_seconds: Annotated[
        int, Allowed(f"a multiple of 60 up to {LONGEST_PERIOD}; on local stacks also 10, 20 and 30")
    ] = Field(
        default=60, ge=10, le=LONGEST_PERIOD, description="The period of the alarms, and of a window of the judge."
    )
    max_5xx_rate: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="Share of requests that may fail. An alarm rings when more fail than chance explains.",
    )
    max_p99_ms: float = Field(default=1000, gt=0, le=60_000, description="How long 99 of 100 requests may take, in ms.")
    drift_false_alarms: float = Field(
        default=0.05,
        gt=0,
        le=0.5,
        description="How many false drift alarms you accept, on average, for each year and variant.",
    )
    drift_minutes: int = Field(
        default=60,
        ge=1,
        le=720,
        description="How often the drift function looks for captured files that no event told of. Also the shortest "
        "block, if training had rows without times.",
    )
    labels_minutes: int = Field(
        default=60,
        ge=1,
        le=10_080,
        description="How long a label waits for its answer before it counts as unknown. Answers are captured within "
        "minutes. (How late a label may come is another matter: 45 days.)",
    )
    labels_days: float = Field(
        default=1,
        ge=0,
        le=45,
        description="After how many days nearly all labels of a day have come. The day is judged then.",
    )
    max_loss_rise: float = Field(
        default=LOSS_RISE,
        gt=0,
        le=10,
        description="By what share the loss may rise above that of the evaluation. More than that is a moved concept.",
    )
    concept_false_alarms: float = Field(
        default=FALSE_ALARMS,
        gt=0,
        le=0.5,
        description="How many false concept alarms you accept, on average, for each year and variant.",
    )
    segments: Annotated[
        list[str], Allowed(f"a list of at most {MOST_SEGMENTS} different fields of an instance, such as [carrier]")
    ] = Field(
        default_factory=list[str],
        max_length=MOST_SEGMENTS,
        description="Fields of an instance. Errors are counted separately for each value of these fields, so choose "
        "fields with few values. Each value makes three metrics for each variant.",
    )

    @field_validator("segments")
    @classmethod
    def _different(cls, segments: list[str]) -> list[str]:
        if len(set(segments)) < len(segments) or not all(segments):
            raise NotAllowed
        return segments

    @field_validator("period_seconds")
    @classmethod
    def _period(cls, period: int, info: ValidationInfo) -> int:
        if period % 60 and period not in {10, 20, 30}:
            raise NotAllowed
        if period % 60 and on_aws(info):
            raise ValueError(
                "SageMaker's metrics come once a minute, so allowed is a multiple of 60 outside local stacks"
            )
        return period


class PromotionSettings(Section):
    """Where the model comes from when it is not trained here."""

    source: Annotated[str | None, Allowed("the name of another stack of this project")] = Field(
        default=None,
        alias="from",
        pattern=r"^[A-Za-z0-9._-]+$",
        description="The stack whose champion this stack takes. Null: train here.",
    )
    to: Annotated[list[str], Allowed(f"a list of at most {MOST_ACCOUNTS} accounts, each of 12 digits in quotes")] = (
        Field(
            default_factory=list[str],
            description="Other AWS accounts whose stacks may take this stack's champion.",
        )
    )

    @field_validator("to", mode="before")
    @classmethod
    def _accounts(cls, given: object) -> object:
        accounts = given if isinstance(given, list) and len(given) <= MOST_ACCOUNTS else [None]
        if not all(isinstance(one, str) and re.fullmatch(r"\d{12}", one) for one in accounts):
            raise NotAllowed
        return given

    @field_validator("source")
    @classmethod
    def _other(cls, source: str | None, info: ValidationInfo) -> str | None:
        stack = stack_of(info)
        if source is None or not stack:
            return source
        if source == stack:
            raise ValueError("a stack cannot be its own source; allowed is the name of another, or null")
        if is_local(source) != is_local(stack):
            raise ValueError(
                "a local stack and an AWS stack cannot promote to one another; allowed is the name of a stack "
                f"that is {'' if is_local(stack) else 'not '}local, or null"
            )
        return source


class ApprovalSettings(Section):
    """Who must agree before a release goes on trial."""

    people: int = Field(
        default=0,
        ge=0,
        le=5,
        description="How many people must agree to a release (`modelstack approve`) before it goes on trial. None of "
        "them may be who registered it. 0: nobody is asked.",
    )


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

    model: ModelSettings
    serving: ServingSettings
    rollout: RolloutSettings
    monitoring: MonitoringSettings
    slo: SloSettings
    retraining: RetrainingSettings
    promotion: PromotionSettings
    approval: ApprovalSettings
    registry: RegistrySettings
    retention: RetentionSettings

    @property
    def trial(self) -> RolloutSettings:
        """The rollout's settings; where nothing is captured, without the defaults that captured answers give."""
        if self.serving.capture_percent:
            return self.rollout
        judge = self.rollout.judge
        metrics = {name: item for name, item in judge.metrics.items() if name not in CAPTURED}
        return self.rollout.model_copy(update={"replay": None, "judge": judge.model_copy(update={"metrics": metrics})})

    @property
    def scheduled(self) -> tuple[str, ...]:
        """The handlers of the functions that run by a schedule: all but that of the rollback."""
        probe = ("probe",) if self.slo.probe_minutes else ()
        return ("advance", "drift", "labels", *probe, *(("retrain",) if self.retraining.enabled else ()))

    @model_validator(mode="after")
    def _together(self, info: ValidationInfo) -> Self:
        wrong = [*self._of_capture(), *self._of_answers(), *self._of_instances(), *self._of_retraining(stack_of(info))]
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
        if stack and not is_local(stack) and self.retraining.image is None:
            wrong.append("retraining.image is null, and there is no image that trains; `make image` builds one")
        return [Problem("retraining.enabled", f"{why}; allowed is false", True) for why in wrong]

    def _of_instances(self) -> list[Problem]:
        """What SageMaker refuses of so many instances, and refuses or passes over on Inf1 ("Exclusions")."""
        if not self.serving.instance_type.startswith("ml.inf1."):
            guard = self.rollout.infrastructure
            refused = guard.refused(self.serving.instance_count) if guard else None
            return [refused.under("rollout.infrastructure")] if refused else []
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
        region = wrong_region(config.get("aws:region"))
        wrong += [*([region] if region else []), *second_callers(config)]
        # A section that is not set is checked too: its defaults may not suit this stack.
        sections = {
            name: {} if (value := given.get(f"{NAMESPACE}:{name}")) is None else value for name in cls.model_fields
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
    """A value as the stack's file has it: Pulumi gives sections and numbers as JSON, and text as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text
