"""The section `modelstack:monitoring`: alarm thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from modelstack.monitoring.labels.concept import FALSE_ALARMS, LOSS_RISE
from modelstack.monitoring.objectives.slo import Objective
from modelstack.program.config.problems import Allowed, NotAllowed
from modelstack.program.config.section import Section
from modelstack.services.declaration.panels import PanelSettings

MOST_SEGMENTS = 3
LONGEST_PERIOD = 3600


class MonitoringSettings(Section):
    """When an alarm fires."""

    REPLACED: ClassVar[Mapping[str, str]] = {
        "max_drift_psi": "drift is no longer told by a threshold on an index; allowed is drift_false_alarms, how many "
        "false alarms a year are tolerated",
        "drift_min_rows": "how many rows drift is told from follows from the training data; leave it out",
        "loss_false_alarm_labels": "a moved concept is told by days of labels; allowed is concept_false_alarms, how "
        "many false alarms a year are tolerated",
    }

    period_seconds: Annotated[
        int, Allowed(f"a multiple of 60 up to {LONGEST_PERIOD}; on local stacks and on Kubernetes also 10, 20 and 30")
    ] = Field(
        default=60, ge=10, le=LONGEST_PERIOD, description="The period of the alarms, and of a window of the judge."
    )
    max_5xx_rate: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="Share of requests that may fail. An alarm fires when more fail than chance explains.",
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
    def _period(cls, period: int) -> int:
        if period % 60 and period not in {10, 20, 30}:
            raise NotAllowed
        return period

    def panels(self, objective: Objective) -> PanelSettings:
        """The settings of the dashboard's panels."""
        return PanelSettings(
            self.max_p99_ms, self.period_seconds, self.drift_minutes, bool(self.segments), objective, self.max_5xx_rate
        )
