"""The verdict of a rollout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelstack.rollout.reason import Reason

Outcome = Literal["promoted", "rolled_back", "withdrawn", "superseded", "failed"]


@dataclass(frozen=True)
class Verdict:
    """How a rollout ended: `release` was on trial, `evidence` has the finding on each metric; `at` is epoch seconds."""

    outcome: Outcome
    reason: Reason
    rollout_id: str
    release: str
    recipe: str
    package_digest: str
    at: float
    evidence: tuple[Reason, ...] = ()
