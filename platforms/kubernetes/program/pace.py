"""How long may an endpoint be left alone? Pure.

At rest nothing moves without a release, an alarm or a person, and each of them wakes the controller. So what is asked
for by itself then only makes up for what was missed.
"""

from __future__ import annotations

from rollout.controller.loop import POLL, Progress
from rollout.controller.outbox import CLAIM_SECONDS
from rollout.core.ringing import matters
from rollout.core.state import Phase

REST = 900.0
"""Seconds between two looks at an endpoint at rest."""
WATCHED = 30.0
"""The same, while an alarm would still take the champion back."""
MOVING = 2.0
"""The same, while the endpoint is to change."""
_FAILING = 15.0  # the longest pause after a failure


def pause(seen: Progress, now: float, every: float, *, unrecorded: bool = False) -> float:
    """Seconds until the next look at an endpoint.

    Args:
        seen: What the last one found.
        now: Epoch seconds.
        every: Seconds between two looks at a trial that is judged, or waits for a person.
        unrecorded: Whether something of the audit record is still to be put away.
    """
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
    """Seconds until the next try, after so many failures in a row."""
    return min(_FAILING, every * 2 ** min(failures - 1, 10))
