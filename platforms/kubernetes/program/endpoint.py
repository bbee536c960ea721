"""An endpoint as the process drives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from monitoring.alarms.alarm import Alarm
from rollout.core.state import RolloutState
from services.worker import Worker


@dataclass(frozen=True)
class Endpoint:
    """One Rollout.

    Attributes:
        worker: Does its work.
        every: Seconds between two observations of a trial.
        firing: The alarms on how a rollout's variants answer that fire now.
    """

    worker: Worker
    every: float
    firing: Callable[[RolloutState], tuple[Alarm, ...]]
