"""When a new version is trained, and how: the stack's config as the function gets it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rollout import stored


@dataclass(frozen=True)
class Rules:
    """When a new version is trained.

    Attributes:
        on: Which of the champion's alarms ask for it: `drift`, `concept`.
        every_days: After how many days without one it is due; None without a schedule.
        cool_down_days: How many days must pass after one was begun.
        most_per_week: How many may be begun within seven days.
        ask: Whether a person must agree first.
    """

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
        image: The image that trains.
        instance_type: What it runs on.
        max_seconds: The longest that it may take.
        min_gain: By how much its loss must be lower than the champion's, in the loss's unit, beyond doubt; below 0, by
            how much it may be higher.
        gates: Metric -> `min` and/or `max`, as for any release.
        bucket: Where packages and reports lie.
        group: The model package group.
        region: The AWS region.
        signing_key: The ARN of the key that signs packages.
        pipeline: The pipeline of which a retraining is an execution; empty where it is a job by itself.
        folder: Where that pipeline puts what it makes; empty without one.
        takes: The parameters of that pipeline.
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
