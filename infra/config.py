"""The stack's config, typed: what may stand under `config:` in `Pulumi.<stack>.yaml`.

    settings = Settings.load(pulumi.Config("modelstack"), stack="local", keys=[...])
    settings.rollout.steps[0].weight

A wrong value stops the program before anything changes, with every wrong field, its value, and what is allowed.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Protocol, Self
from urllib.parse import urlsplit

import pulumi
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

LOCAL = "local"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
LONGEST_PREFIX = 40


class Section(BaseModel):
    """A section of the config: unknown fields are errors, values never change."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


class Gate(Section):
    """The bounds of one metric. A model outside them is not released."""

    min: float | None = Field(default=None, description="The least value that is allowed, inclusive.")
    max: float | None = Field(default=None, description="The largest value that is allowed, inclusive.")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give min, max, or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: no value passes")
        return self


class ModelSettings(Section):
    """What is trained, and what it must show before it is released."""

    name: str = Field(
        default="flight-delay",
        pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$",
        max_length=30,
        description="Names everything in the cloud: lower-case letters, digits and hyphens, at most 30.",
    )
    parameters: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="Parameters of the training, as `model/` documents them. They are part of the recipe.",
    )
    gates: dict[str, Gate] = Field(
        default_factory=dict,
        description="Metric name -> its bounds, on later data than the model was trained on.",
    )


class ServingSettings(Section):
    """The instances behind a release."""

    instance_type: str = Field(
        default="ml.m5.large",
        pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$",
        description="A SageMaker instance type, such as ml.m5.large.",
    )
    instance_count: int = Field(default=1, ge=1, le=100, description="Instances per variant, 1 to 100.")
    image: str | None = Field(
        default=None,
        pattern=r"^[^\s/@]+/[^\s@]+(@sha256:[0-9a-f]{64}|:[\w.-]+)$",
        description="The serving image, `registry/repository@sha256:<digest>`. Null: on a local stack, the entry point "
        "runs as a process; elsewhere only the registry is made, so that the image can be pushed to it.",
    )
    capture_percent: int = Field(default=100, ge=0, le=100, description="Share of requests that is captured, 0 to 100.")


class StepSettings(Section):
    """One share of traffic, held for a while."""

    weight: int = Field(ge=1, le=99, description="The challenger's percent of traffic, 1 to 99; 100 is the promotion.")
    bake_seconds: float = Field(ge=0, le=86_400, description="The least time at this weight, 0 to 86400 seconds.")


class RolloutSettings(Section):
    """How a challenger earns its traffic."""

    wait: bool = Field(default=True, description="Whether `pulumi up` waits for the verdict, and fails on a rollback.")
    steps: Annotated[list[StepSettings], Field(min_length=1, max_length=20)] = Field(
        default_factory=lambda: [StepSettings(weight=10, bake_seconds=300), StepSettings(weight=50, bake_seconds=300)],
        description="The shares of traffic, ascending; the promotion to 100 follows the last.",
    )
    min_requests: int = Field(
        default=50, ge=1, le=1_000_000_000, description="Requests the challenger answers in each step."
    )
    alpha: float = Field(
        default=0.05, ge=1e-9, le=0.5, description="Probability of rolling back an equally good challenger, up to 0.5."
    )
    error_margin: float = Field(
        default=0.02,
        ge=1e-6,
        le=0.5,
        description="Tolerated difference in error rate, challenger - champion, up to 0.5.",
    )
    max_minutes: float = Field(
        default=60, gt=0, le=43_200, description="The longest a trial may take; then it is rolled back."
    )
    watch_minutes: float = Field(
        default=60,
        ge=0,
        le=43_200,
        description="How long after a promotion an alarm brings the previous champion back.",
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        weights = [step.weight for step in self.steps]
        if any(later <= earlier for earlier, later in itertools.pairwise(weights)):
            raise ValueError(f"steps have the weights {weights}; allowed are weights that ascend, each at most once")
        baking = sum(step.bake_seconds for step in self.steps)
        if baking >= self.max_minutes * 60:
            raise ValueError(
                f"the steps bake for {baking:g} s, which does not fit into max_minutes {self.max_minutes:g} "
                f"({self.max_minutes * 60:g} s)"
            )
        return self


class MonitoringSettings(Section):
    """When an alarm rings."""

    period_seconds: int = Field(
        default=60,
        ge=10,
        le=3600,
        description="Alarm period: a multiple of 60 up to 3600; on local stacks also 10, 20 and 30.",
    )
    max_5xx_rate: float = Field(default=0.05, gt=0, le=1, description="Share of requests that may fail, up to 1.")
    max_p99_ms: float = Field(default=1000, gt=0, le=60_000, description="p99 of the model's latency, up to 60000 ms.")
    max_drift_psi: float = Field(
        default=0.25, gt=0, le=100, description="Population stability index of the worst feature."
    )
    drift_minutes: int = Field(default=60, ge=1, le=1440, description="How often drift is measured, 1 to 1440 minutes.")

    @model_validator(mode="after")
    def _period(self) -> Self:
        if self.period_seconds not in {10, 20, 30} and self.period_seconds % 60:
            raise ValueError(f"period_seconds is {self.period_seconds}; allowed are 10, 20, 30 and multiples of 60")
        return self


class PromotionSettings(Section):
    """Where the model comes from when it is not trained here."""

    source: str | None = Field(
        default=None,
        alias="from",
        min_length=1,
        description="The stack whose champion this stack takes; null: train here.",
    )


class RegistrySettings(Section):
    """What happens to packages when the stack is destroyed."""

    retain: bool | None = Field(
        default=None, description="Keep archives and packages on destroy. Null: false on local stacks, true elsewhere."
    )


class Settings(Section):
    """All of a stack's config. Each field is one key of the namespace `modelstack`."""

    model: ModelSettings = Field(default_factory=ModelSettings)
    serving: ServingSettings = Field(default_factory=ServingSettings)
    rollout: RolloutSettings = Field(default_factory=RolloutSettings)
    monitoring: MonitoringSettings = Field(default_factory=MonitoringSettings)
    promotion: PromotionSettings = Field(default_factory=PromotionSettings)
    registry: RegistrySettings = Field(default_factory=RegistrySettings)

    @classmethod
    def load(cls, config: ConfigSource, stack: str, keys: Iterable[str]) -> Settings:
        """Read and check the config of a stack.

        Args:
            config: The config of the namespace `modelstack`.
            stack: The stack's name.
            keys: Every key that is set, `namespace:name`, so that a misspelt one is noticed.

        Raises:
            pulumi.RunError: Something is wrong; the message lists every wrong field, its value and what is allowed.
        """
        mine = sorted(key.partition(":")[2] for key in keys if key.startswith("modelstack:"))
        problems = [
            _unknown("modelstack:", name, list(cls.model_fields)) for name in mine if name not in cls.model_fields
        ]
        sections: dict[str, Any] = {}
        for name in cls.model_fields:
            try:
                value = config.get_object(name)
            except pulumi.ConfigTypeError:
                value = config.get(name)
            if value is not None:
                sections[name] = value
        try:
            settings = cls.model_validate(sections)
        except ValidationError as error:
            problems += [_explain(item, cls) for item in error.errors(include_url=False)]
            raise _refuse(stack, problems) from None
        problems += _on_stack(settings, stack)
        if problems:
            raise _refuse(stack, problems)
        return settings


class ConfigSource(Protocol):
    """What `pulumi.Config` offers and this page needs."""

    def get_object(self, key: str) -> Any:
        """The value of a key as JSON, or None."""
        ...

    def get(self, key: str) -> str | None:
        """The value of a key as text, or None."""
        ...


def is_local(stack: str) -> bool:
    """Whether a stack lives in the local cloud: its name starts with `local`."""
    return stack.startswith(LOCAL)


def check_target(stack: str, environment: Mapping[str, str]) -> None:
    """Refuse a local stack that points outside, and any other stack that points at the local cloud.

    Raises:
        pulumi.RunError: The stack and AWS_ENDPOINT_URL do not belong together; the message says what to do.
    """
    endpoint = environment.get("AWS_ENDPOINT_URL", "")
    inside = urlsplit(endpoint).hostname in LOOPBACK
    if is_local(stack) and not inside:
        raise pulumi.RunError(
            f"stack {stack!r} is a local stack, but AWS_ENDPOINT_URL is {endpoint or 'not set'!r}; it must point at "
            'the local cloud, such as http://127.0.0.1:4566. Run: make up, then: eval "$(make -s env)"'
        )
    if not is_local(stack) and inside:
        raise pulumi.RunError(
            f"stack {stack!r} is not a local stack, but AWS_ENDPOINT_URL is {endpoint!r}; only stacks whose name "
            f"starts with {LOCAL!r} use it. Run: unset AWS_ENDPOINT_URL, and use the credentials of an AWS account"
        )


def _on_stack(settings: Settings, stack: str) -> list[str]:
    problems: list[str] = []
    prefix = f"{settings.model.name}-{stack}"
    if not re.fullmatch(r"[a-z0-9-]+", stack):
        problems.append(f"stack name {stack!r}: allowed are lower-case letters, digits and hyphens")
    if len(prefix) > LONGEST_PREFIX:
        problems.append(
            f"modelstack:model.name = {settings.model.name!r}: with the stack's name it makes {prefix!r}, "
            f"{len(prefix)} characters; allowed are {LONGEST_PREFIX}"
        )
    period = settings.monitoring.period_seconds
    if not is_local(stack) and period % 60:
        problems.append(
            f"modelstack:monitoring.period_seconds = {period}: SageMaker's metrics come once a minute, so allowed are "
            "multiples of 60 outside local stacks"
        )
    source = settings.promotion.source
    if source == stack:
        problems.append(
            f"modelstack:promotion.from = {source!r}: a stack cannot be its own source; name another, or null"
        )
    if source is not None and is_local(source) != is_local(stack):
        problems.append(
            f"modelstack:promotion.from = {source!r}: a local stack and an AWS stack cannot promote to one another"
        )
    return problems


def _refuse(stack: str, problems: list[str]) -> pulumi.RunError:
    lines = "\n".join(f"  - {problem}" for problem in problems)
    return pulumi.RunError(f"Pulumi.{stack}.yaml is not valid; nothing was changed:\n{lines}")


def _unknown(where: str, name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{where}{name}: no such field; allowed are {', '.join(known)}{hint}"


def _explain(item: Any, root: type[BaseModel]) -> str:
    """One line for one of pydantic's errors: the field, its value, and what is allowed."""
    location: tuple[str | int, ...] = item["loc"]
    where = "modelstack:" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(
        "."
    )
    if item["type"] == "extra_forbidden":
        owner = _section(location[:-1], root)
        known = [field.alias or name for name, field in owner.model_fields.items()]
        return _unknown(where.removesuffix(str(location[-1])), str(location[-1]), known)
    if item["type"] == "missing":
        return f"{where}: is missing: {_allowed(location, root)}"
    if item["type"] == "value_error":
        return f"{where}: {item['ctx']['error']}"
    return f"{where} = {item['input']!r}: {_allowed(location, root)}"


def _section(location: tuple[str | int, ...], root: type[BaseModel]) -> type[BaseModel]:
    """The section that a location lies in."""
    owner = root
    for part in location:
        for name, field in owner.model_fields.items():
            if part in {name, field.alias}:
                owner = next((item for item in _models(field.annotation)), owner)
    return owner


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in getattr(annotation, "__args__", ()) for found in _models(part)]


def _allowed(location: tuple[str | int, ...], root: type[BaseModel]) -> str:
    """What the field documents about its range."""
    for end in range(len(location), 0, -1):
        owner = _section(location[: end - 1], root)
        for name, field in owner.model_fields.items():
            if location[end - 1] in {name, field.alias}:
                text = field.description or f"a section with {', '.join(_section(location[:end], root).model_fields)}"
                return f"allowed is: {text}"
    return "see infra/config.py"
