"""The section `modelstack:slo`: the service-level objective."""

from __future__ import annotations

from pydantic import Field

from modelstack.monitoring.objectives.slo import Objective
from modelstack.program.config.section import Section
from modelstack.program.config.target import is_local

DAY = 86400
LOCAL_DAYS, DAYS = 0.25, 30.0
LEAST_DAYS, MOST_DAYS = 7, 60


class SloSettings(Section):
    """The service-level objective. Alarms fire when its error budget burns too fast."""

    availability: float = Field(
        default=0.999, ge=0.95, le=0.99999, description="Share of requests that should be answered without a 5XX."
    )
    latency: float = Field(
        default=0.99, ge=0.95, le=0.99999, description="Share of requests that should take no longer than latency_ms."
    )
    latency_ms: float = Field(default=1000, gt=0, le=60_000, description="How long such a request may take, in ms.")
    window_days: float | None = Field(
        default=None,
        ge=LOCAL_DAYS,
        le=MOST_DAYS,
        description=f"The time over which the objective holds. Its alarms look at parts of it. At least {LEAST_DAYS} "
        f"on AWS. Null: {DAYS:g}, on local stacks {LOCAL_DAYS:g}.",
    )
    min_requests: int = Field(
        default=20, ge=1, le=1_000_000, description="If an alarm's window has fewer requests, it says nothing."
    )

    probe_minutes: int | None = Field(
        default=1, ge=1, le=60, description="How often the probe asks the endpoint whether it answers. Null: never."
    )

    def objective(self, stack: str) -> Objective:
        """The stack's objective, in the units that are counted."""
        days = self.window_days if self.window_days is not None else LOCAL_DAYS if is_local(stack) else DAYS
        return Objective(
            availability=self.availability,
            latency=self.latency,
            latency_ms=self.latency_ms,
            window_seconds=round(days * DAY),
            min_requests=self.min_requests,
        )
