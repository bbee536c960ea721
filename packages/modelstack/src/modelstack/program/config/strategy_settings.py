"""The strategies of `modelstack:rollout.strategy`: the steps by which a challenger gets traffic."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

from pydantic import Field, field_validator

from modelstack.program.config.problems import Allowed
from modelstack.program.config.section import Section
from modelstack.rollout.core.plan import EVERYTHING, LONGEST, Step

Weight = Annotated[int, Field(ge=1, le=99)]
Percent = Annotated[int, Field(ge=1, le=100)]
Seconds = Annotated[float, Field(ge=0, le=LONGEST)]
Bake = Annotated[Seconds, Field(description="The least time at this weight.")]
Given = Annotated[Weight, Field(description="The challenger's percent of traffic.")]
Approve = Annotated[bool, Field(description="Whether a person must approve after this step: `modelstack approve`.")]


Header = Annotated[
    str,
    Allowed("the name of a request header in lower case, such as x-user-id"),
    Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"),
]


class StepSettings(Section):
    """One share of traffic, held for a while."""

    weight: Weight = Field(description="The challenger's percent of traffic; 100 is the promotion.")
    bake_seconds: Bake
    approve: Approve = False


class AllAtOnce(Section):
    """All traffic at once: no champion is left to compare with, so only the alarms judge."""

    kind: Literal["all_at_once"] = Field(default="all_at_once", description="Names the strategy.")
    bake_seconds: Seconds = Field(description="How long the alarms are watched before the promotion.")

    def shares(self) -> tuple[Step, ...]:
        """The steps of the plan."""
        return (Step(EVERYTHING, self.bake_seconds),)


class Canary(Section):
    """One small share, then everything."""

    kind: Literal["canary"] = Field(default="canary", description="Names the strategy.")
    weight: Given
    bake_seconds: Bake

    def shares(self) -> tuple[Step, ...]:
        """The steps of the plan."""
        return (Step(self.weight, self.bake_seconds),)


class Linear(Section):
    """Equal steps up."""

    kind: Literal["linear"] = Field(default="linear", description="Names the strategy.")
    step_percent: int = Field(ge=1, le=50, description="How many percent of traffic each step adds.")
    bake_seconds: Seconds = Field(description="The least time at each weight.")

    def shares(self) -> tuple[Step, ...]:
        """The steps of the plan."""
        weights = range(self.step_percent, EVERYTHING, self.step_percent)
        return tuple(Step(weight, self.bake_seconds) for weight in weights)


class Steps(Section):
    """Custom weights."""

    kind: Literal["steps"] = Field(default="steps", description="Names the strategy.")
    steps: Annotated[list[StepSettings], Field(min_length=1, max_length=20)] = Field(
        description="The shares of traffic, ascending; the promotion to 100 follows the last."
    )

    @field_validator("steps")
    @classmethod
    def _ascending(cls, steps: list[StepSettings]) -> list[StepSettings]:
        weights = [step.weight for step in steps]
        if any(later <= earlier for earlier, later in itertools.pairwise(weights)):
            raise ValueError(f"the weights are {weights}; allowed are weights that ascend, each at most once")
        return steps

    def shares(self) -> tuple[Step, ...]:
        """The steps of the plan."""
        return tuple(Step(at.weight, at.bake_seconds, approve=at.approve) for at in self.steps)


class AB(Section):
    """A fixed split, for a time or until the judge knows."""

    kind: Literal["ab"] = Field(default="ab", description="Names the strategy.")
    weight: Given
    seconds: float | None = Field(
        default=None,
        gt=0,
        le=LONGEST,
        description="The least time of the test. Null: until the judge knows.",
    )

    sticky_header: Header | None = Field(
        default="x-user-id",
        description="On Kubernetes: requests with the same value of this header are answered by the same version. One "
        "without it is decided by the weight, as is each request when it is null. SageMaker has no such thing.",
    )

    def shares(self) -> tuple[Step, ...]:
        """The steps of the plan."""
        return (Step(self.weight, self.seconds or 0),)


Live = Annotated[Canary | Linear | Steps | AB, Field(discriminator="kind")]


class Shadow(Section):
    """Copies of the champion's requests, the answers never returned; then live steps, or the promotion."""

    kind: Literal["shadow"] = Field(default="shadow", description="Names the strategy.")
    percent: Percent = Field(description="How many percent of the requests are copied to the challenger.")
    bake_seconds: Seconds = Field(description="The least time of copying.")
    approve: Approve = False
    then: Live | None = Field(
        default=None, description="The live steps that follow. Null: the promotion follows at once."
    )

    def shares(self) -> tuple[Step, ...]:
        """The steps of the plan."""
        copied = Step(self.percent, self.bake_seconds, shadow=True, approve=self.approve)
        return (copied, *(self.then.shares() if self.then else ()))


Strategy = Annotated[AllAtOnce | Canary | Linear | Steps | AB | Shadow, Field(discriminator="kind")]
