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
"""Up to this nothing is said: a platform takes a minute or two to hand captured answers over."""
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
