"""How late are answers counted? Found from how many the challenger gave, and how many of them were counted. Pure.

    late = behind(windows, counted=1200.0, now=now)
    late.seconds, late.answers        # 1500.0, 4700: or None when all of them are

Captured answers are counted in about the order in which they came. So when `counted` of them are, the challenger had
given as many at some time before now: that long ago is how late they are counted. A backlog of ours is no fault of a
release: it gives a trial as much more time, so that as much is known of it as its plan allows for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rollout.judge.metrics import Window
from rollout.kinds import Kind
from rollout.reason import Reason

LATE_SECONDS = 120.0
"""From this on it is always said: a platform takes a minute or two to hand captured answers over."""
USUAL_WINDOWS = 3.0
"""So many windows late is usual: one has not closed, its answers are handed over, and then they are counted."""
_OFTEN_FEWER = 3.0  # chance makes a third of what is lacking in the mean enough, or three times as much needed
_ANSWERS = "errors"  # the metric whose tallies are the requests and those that failed


@dataclass(frozen=True)
class Behind:
    """How far the counting is behind.

    Attributes:
        seconds: How long ago the answers were given that are counted now.
        answers: How many of the challenger's are not counted yet.
    """

    seconds: float
    answers: int

    def matters(self, known: Reason, window_seconds: float) -> bool:
        """Whether a trial waits for the counting: what it lacks may have been given, and is only not counted.

        Args:
            known: What the judge found so far; `lacking` among its numbers is how many observations it lacks about.
            window_seconds: The length of a window.
        """
        if self.seconds > LATE_SECONDS:
            return True
        lacking = known.numbers.get("lacking", 0.0)  # where that is not known, too little was counted to tell
        return self.seconds > USUAL_WINDOWS * window_seconds and self.answers * _OFTEN_FEWER >= lacking

    def reason(self, known: Reason) -> Reason:
        """That a trial waits for the counting, beside what is known so far."""
        numbers = {"seconds": self.seconds, "answers": float(self.answers)}
        return Reason("judge", known.name, numbers=numbers, kind=Kind.COUNTED_LATE, beside=known)


def behind(windows: Iterable[Window], counted: float, now: float) -> Behind | None:
    """How far the counting is behind; None when all that the challenger gave is counted.

    Args:
        windows: All windows of a trial so far, in their order.
        counted: How many of the challenger's answers in the trial were counted.
        now: Epoch seconds.
    """
    given, since = 0.0, None
    for window in windows:
        tally = window.challenger.get(_ANSWERS)
        given += tally.count - tally.total if tally else 0  # what failed is not captured
        if since is None and given > counted:
            since = window.start
    return None if since is None else Behind(now - since, round(given - counted))
