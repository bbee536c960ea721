"""The section `modelstack:retention`: how long data that grows with traffic is kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from modelstack.program.config.problems import Allowed, NotAllowed
from modelstack.program.config.section import Section

# Source: `retentionInDays` of PutRetentionPolicy, Amazon CloudWatch Logs API Reference.
LOG_DAYS = (*(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),)


class RetentionSettings(Section):
    """How long is kept what grows with traffic. Registered packages and images are kept as long as the stack."""

    requests_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="Days that captured requests, labels, and what of them could not be used are kept.",
    )
    versions_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="Days that a version of any other object is kept after it was overwritten or deleted.",
    )
    log_days: Annotated[int, Allowed(f"one of the numbers {', '.join(map(str, LOG_DAYS))}")] = Field(
        default=30, description="Days that log lines of the functions and of the model's containers are kept."
    )

    @field_validator("log_days")
    @classmethod
    def _of_logs(cls, days: int) -> int:
        if days not in LOG_DAYS:
            raise NotAllowed
        return days
