"""How a rollout ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rollout.reason import Reason

Outcome = Literal["promoted", "rolled_back", "withdrawn", "superseded", "failed"]


@dataclass(frozen=True)
class Verdict:
    """How a rollout ended.

    Attributes:
        outcome: What became of the release.
        reason: Why.
        rollout_id: The rollout that ended.
        release: The short id of the release that was on trial.
        recipe: Its recipe digest.
        package_digest: Its package digest.
        at: When, in epoch seconds.
        evidence: What was known of each metric when it was decided.
    """

    outcome: Outcome
    reason: Reason
    rollout_id: str
    release: str
    recipe: str
    package_digest: str
    at: float
    evidence: tuple[Reason, ...] = ()
