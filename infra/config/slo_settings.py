"""The config section `slo`: what users are promised, and over which time."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from infra.config.section import Section
from infra.config.target import is_local
from monitoring.objectives.slo import Objective

DAY = 86400
LOCAL_DAYS, DAYS = 0.25, 30.0
LEAST_DAYS = 7


class SloSettings(Section):
    """The service-level objective. Alarms ring when its error budget burns too fast."""

    availability: float = Field(
        default=0.999, ge=0.95, le=0.99999, description="Share of requests that should be answered without a 5XX."
    )
    latency: float = Field(
        default=0.99, ge=0.95, le=0.99999, description="Share of requests that should take no longer than latency_ms."
    )
    latency_ms: float = Field(default=1000, gt=0, le=60_000, description="How long such a request may take, in ms.")
    window_days: float | None = Field(
        default=None,
        ge=0.25,
        le=60,
        description="The time over which the objective holds. Its alarms look at parts of it. At least 7 outside "
        "local stacks. Null: 30, on local stacks 0.25.",
    )
    min_requests: int = Field(
        default=20, ge=1, le=1_000_000, description="If an alarm's window has fewer requests, it says nothing."
    )

    probe_minutes: int | None = Field(
        default=1, ge=1, le=60, description="How often the probe asks the endpoint whether it answers. Null: never."
    )

    @field_validator("window_days")
    @classmethod
    def _long_enough(cls, days: float | None, info: ValidationInfo) -> float | None:
        stack: str = info.context or ""
        if days is not None and days < LEAST_DAYS and stack and not is_local(stack):
            raise ValueError(
                "SageMaker's metrics come once a minute, too seldom for the windows of such an objective; allowed is a "
                f"number from {LEAST_DAYS} to 60 outside local stacks, or null"
            )
        return days

    def objective(self, stack: str) -> Objective:
        """The objective of a stack, in the units that it is counted in."""
        days = self.window_days if self.window_days is not None else LOCAL_DAYS if is_local(stack) else DAYS
        return Objective(
            availability=self.availability,
            latency=self.latency,
            latency_ms=self.latency_ms,
            window_seconds=round(days * DAY),
            min_requests=self.min_requests,
        )
