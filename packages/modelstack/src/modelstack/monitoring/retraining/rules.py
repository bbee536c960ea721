"""The stack's config of retraining, as the function gets it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from modelstack.rollout import stored


@dataclass(frozen=True)
class Rules:
    """When a new version is trained; `on` are the champion's alarms that trigger it, `every_days` its schedule."""

    on: tuple[str, ...] = ("drift", "concept")
    every_days: int | None = None
    cool_down_days: int = 7
    most_per_week: int = 1
    ask: bool = True


@dataclass(frozen=True)
class JobSettings:
    """How a version is trained.

    Attributes:
        role: The ARN of the job's role.
        min_gain: By how much its loss must be lower than the champion's, in the loss's unit, beyond doubt; below 0, by
            how much it may be higher.
        bucket: Where packages and reports are stored.
        signing_key: The ARN of the key that signs packages.
        gates: Metric -> `min` and/or `max`.
        pipeline: The pipeline that runs a retraining, with the parameters `takes`; empty if it is a job by itself.
        folder: Where that pipeline stores its outputs.
    """

    role: str
    image: str
    instance_type: str
    max_seconds: int
    min_gain: float
    bucket: str
    group: str
    region: str
    signing_key: str
    gates: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    pipeline: str = ""
    folder: str = ""
    takes: tuple[str, ...] = ()


def written(rules: Rules, job: JobSettings) -> str:
    """Both as JSON, for the environment of the function."""
    return json.dumps({"rules": asdict(rules), "job": asdict(job)}, sort_keys=True)


def read(text: str) -> tuple[Rules, JobSettings]:
    """Read back what `written` wrote."""
    raw: dict[str, Any] = json.loads(text)
    return stored.read(Rules, raw["rules"]), stored.read(JobSettings, raw["job"])
