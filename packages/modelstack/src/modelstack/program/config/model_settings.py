"""The section `modelstack:model`: training parameters and quality gates."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, JsonValue, ValidationInfo, field_validator, model_validator

from modelstack.pipeline.gate import BOUNDS, no_value_passes, unknown_metrics
from modelstack.program.config import checkout
from modelstack.program.config.problems import Allowed, Wrong
from modelstack.program.config.section import Section, stack_of

LONGEST_NAME, LONGEST_PREFIX = 30, 40


class Gate(Section):
    """The bounds of one metric. A model outside them is not released."""

    min: float | None = Field(default=None, description="The least value that is allowed, inclusive.")
    max: float | None = Field(default=None, description="The largest value that is allowed, inclusive.")

    @field_validator("max")
    @classmethod
    def _above_min(cls, most: float | None, info: ValidationInfo) -> float | None:
        if why := no_value_passes(info.data.get("min"), most):
            raise ValueError(f"allowed is {why}")
        return most

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError(f"allowed is {BOUNDS}")
        return self


def _reported(metric: str) -> str:
    for why in unknown_metrics([metric], checkout.metrics()).values():
        raise ValueError(why)
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
