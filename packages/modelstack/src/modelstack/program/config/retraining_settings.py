"""The section `modelstack:retraining`: when and how a new version is trained without a commit."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from modelstack.monitoring.retraining.rules import Rules
from modelstack.program.config.problems import Allowed, NotAllowed, Problem, Wrong
from modelstack.program.config.section import Image, InstanceType, Section


class RetrainingSettings(Section):
    """When a new version is trained on newer data. It ends with a candidate, which `pulumi up` puts on trial."""

    enabled: bool = Field(
        default=False,
        description="Whether new versions are trained. If false, a window that was retrained before still counts "
        "until `modelstack retrain forget`.",
    )
    on: Annotated[list[Literal["drift", "concept"]], Allowed("a list of drift and concept, without repetition")] = (
        Field(
            default_factory=lambda: ["drift", "concept"],
            description="Which of the champion's alarms ask for it. drift: the requests have moved. concept: the loss "
            "has risen. With none, and without a schedule, only `modelstack retrain start` begins one.",
        )
    )
    every_days: int | None = Field(
        default=None,
        ge=1,
        le=366,
        description="A retraining is due after so many days without one. At least `cool_down_days`. Null: no schedule.",
    )
    cool_down_days: int = Field(
        default=Rules.cool_down_days,
        ge=0,
        le=366,
        description="How many days must pass after a retraining was begun, or declined by a person.",
    )
    most_per_week: int = Field(
        default=Rules.most_per_week, ge=1, le=7, description="How many retrainings may begin within seven days."
    )
    ask: bool = Field(
        default=Rules.ask, description="Whether a person must agree first: `modelstack retrain approve`, or `decline`."
    )
    min_gain: float = Field(
        default=0.0,
        ge=-1000,
        le=1000,
        description="By how much the new version's loss on the newest labelled days must be lower than the "
        "champion's, beyond doubt, in the unit of the loss (nats for log-loss). Below 0: by how much it "
        "may be higher. Then the trial on live traffic decides.",
    )
    image: Image | None = Field(
        default=None,
        description="The image that trains. `make image` builds it beside the serving image. Null: on a local stack, "
        "a process.",
    )
    instance_type: InstanceType = Field(default="ml.m5.large", description="What a training job runs on.")
    max_minutes: int = Field(default=60, ge=1, le=1440, description="The longest that a training job may take.")
    check_minutes: int = Field(
        default=5,
        ge=1,
        le=60,
        description="How often the retrain function looks whether there is something to do. It also looks whenever an "
        "alarm or a job changes.",
    )

    @field_validator("on")
    @classmethod
    def _different(cls, on: list[str]) -> list[str]:
        if len(set(on)) < len(on):
            raise NotAllowed
        return on

    @model_validator(mode="after")
    def _met(self) -> Self:
        if self.every_days is not None and self.every_days < self.cool_down_days:
            text = f"the cool-down lasts {self.cool_down_days} days; allowed is {self.cool_down_days} or more, or null"
            raise Wrong([Problem(".every_days", text, self.every_days)])
        return self

    def rules(self) -> Rules:
        """The rules as the retrain function gets them."""
        given: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(Rules)}
        return Rules(**given | {"on": tuple(self.on)})
