"""How late captured answers are counted.

They are counted in about the order in which they came: the lag is the time since the challenger had given as many as
are counted. Our own backlog is not the release's fault, so the trial gets that much more time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelstack.rollout.judge.metrics import Window
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

LATE_SECONDS = 120.0  # reported from here on: platforms deliver captures after a minute or two
USUAL_WINDOWS = 3.0
"""A usual lag in windows: one is still open, one is delivered, one is counted."""
_OFTEN_FEWER = 3.0  # by chance a third of the mean lacking observations is enough, or three times as many are needed
_ANSWERS = "errors"  # its tallies are the requests, and the failed ones


@dataclass(frozen=True)
class Behind:
    """How long ago the answers were given that are counted now, and how many answers are not counted yet."""

    seconds: float
    answers: int

    def matters(self, known: Reason, window_seconds: float) -> bool:
        """Whether the trial waits for the counting: the observations that it needs may exist, uncounted."""
        if self.seconds > LATE_SECONDS:
            return True
        lacking = known.numbers.get("lacking", 0.0)  # missing if too little was counted to estimate it
        return self.seconds > USUAL_WINDOWS * window_seconds and self.answers * _OFTEN_FEWER >= lacking

    def reason(self, known: Reason) -> Reason:
        """The reason that a trial waits for the counting; it includes `known`."""
        numbers = {"seconds": self.seconds, "answers": float(self.answers)}
        return Reason("judge", known.name, numbers=numbers, kind=Kind.COUNTED_LATE, beside=known)


def behind(windows: Iterable[Window], counted: float, now: float) -> Behind | None:
    """How far the counting lags, given all windows in order; None when all answers of the challenger are counted."""
    given, since = 0.0, None
    for window in windows:
        tally = window.challenger.get(_ANSWERS)
        given += tally.count - tally.total if tally else 0  # failures are not captured
        if since is None and given > counted:
            since = window.start
    return None if since is None else Behind(now - since, round(given - counted))
