"""Time between two looks at an endpoint. Pure.

At rest every change is a release, an alarm or a person's action, which wake the controller.
"""

from __future__ import annotations

from rollout.controller.loop import POLL, Progress
from rollout.controller.outbox import CLAIM_SECONDS
from rollout.core.ringing import matters
from rollout.core.state import Phase

REST = 900.0  # seconds between two looks at an endpoint at rest
WATCHED = 30.0  # seconds, while an alarm would still roll the champion back
MOVING = 2.0  # seconds, while the endpoint has to change
_FAILING = 15.0  # the longest pause after a failure


def pause(seen: Progress, now: float, every: float, *, unrecorded: bool = False) -> float:
    """Seconds until the next look; `every` is the time between two looks at a trial."""
    state = seen.state
    if not seen.in_time:
        return min(POLL, every)
    if state.phase is Phase.BAKING and state.step_started_at is not None:
        return every
    if not state.at_rest:
        return min(MOVING, every)
    if state.on_trial:
        return every
    if state.outbox:
        return CLAIM_SECONDS + POLL
    return WATCHED if unrecorded or matters(state, now) else REST


def after_failures(failures: int, every: float) -> float:
    """Seconds until the next try, after this many failures in a row."""
    return min(_FAILING, every * 2 ** min(failures - 1, 10))
