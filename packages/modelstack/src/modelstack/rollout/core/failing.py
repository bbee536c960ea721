"""Windows in which the champion itself fails, which say nothing about a challenger.

Only the champion's failures count: else the windows in which the challenger was lucky would remain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import attrgetter

from modelstack.rollout.judge.metrics import Tally, Window
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

FAILED = "failed"
"""The tally of 5XX answers: without the 4XX that a client's own mistakes cause."""
UNANSWERED = "unanswered"
"""The tally of all requests that were sent to a version, and of those that none of its instances answered."""
ERRORS_OF_MEAN = 3.0
"""Required difference in standard errors; by chance it is exceeded once in several hundred outages."""
_NOTHING = Tally()
_ENOUGH = 50  # requests of the champion; windows with fewer are grouped


@dataclass(frozen=True)
class Counted:
    """Requests of one version, and how many were bad (failed or slow)."""

    bad: float
    requests: float

    @property
    def share(self) -> float:
        """The share of bad requests; 0 without a request."""
        return self.bad / self.requests if self.requests else 0.0


def clearly_worse(one: Counted, other: Counted, tolerated: float) -> bool:
    """Whether one version fails more than another by more than is tolerated, beyond chance.

    With p = (bad + 1) / (requests + 2) of each and t the tolerated share:

        p1 - p0 > t + 3 sqrt(p0 (1 - p0) / (requests0 + 2) + p1 (1 - p1) / (requests1 + 2)).

    Source: Agresti, Caffo, The American Statistician 54 (2000), p. 280 (two successes and two failures added).
    """
    p1, p0 = _adjusted(one), _adjusted(other)
    spread = p0 * (1 - p0) / (other.requests + 2) + p1 * (1 - p1) / (one.requests + 2)
    return p1 - p0 > tolerated + ERRORS_OF_MEAN * math.sqrt(spread)


def clearly_fails(counted: Counted, tolerated: float) -> bool:
    """Whether a version fails more than tolerated, beyond chance: p - 3 sqrt(p (1 - p) / (requests + 2)) > t."""
    p = _adjusted(counted)
    return p - ERRORS_OF_MEAN * math.sqrt(p * (1 - p) / (counted.requests + 2)) > tolerated


def _adjusted(counted: Counted) -> float:
    return (counted.bad + 1) / (counted.requests + 2)


def unanswered(windows: Sequence[Window], tolerated: float) -> Reason | None:
    """Why a challenger takes no step: its instances left requests unanswered, and the champion's fewer.

    What it would have answered is unknown, so the release is not blamed for them. None when the shares differ by at
    most the tolerated one.
    """
    new, old = (
        _sum(side(window).get(UNANSWERED, _NOTHING) for window in windows)
        for side in (attrgetter("challenger"), attrgetter("champion"))
    )
    if new.share - old.share <= tolerated:
        return None
    numbers = {
        "unanswered": new.bad,
        "requests": new.requests,
        "champion_unanswered": old.bad,
        "champion_requests": old.requests,
        "tolerated": tolerated,
    }
    return Reason("endpoint", "instances", numbers=numbers, kind=Kind.UNANSWERED)


@dataclass(frozen=True)
class BothFail:
    """The windows in which the champion failed more than tolerated; `lasts` says whether the newest are among them."""

    tolerated: float
    windows: int
    of: int
    challenger: Counted
    champion: Counted
    others: tuple[Window, ...]
    lasts: bool

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers of a reason."""
        return {
            "outage_windows": float(self.windows),
            "windows": float(self.of),
            "tolerated": self.tolerated,
            "outage_challenger_failed": self.challenger.bad,
            "outage_challenger_requests": self.challenger.requests,
            "outage_champion_failed": self.champion.bad,
            "outage_champion_requests": self.champion.requests,
        }


def both_fail(windows: Sequence[Window], tolerated: float) -> BothFail | None:
    """The windows in which the champion failed, by tallies of `FAILED`; None when there is none.

    None too when the challenger is clearly better in them, taken together: one that fixes the champion must pass.
    """
    ordered = sorted(windows, key=attrgetter("start"))
    champion = [window.champion.get(FAILED, _NOTHING) for window in ordered]
    if not any(tally.total for tally in champion):
        return None  # the fast path: a trial has tens of thousands of windows
    challenger = [window.challenger.get(FAILED, _NOTHING) for window in ordered]
    groups = _groups([tally.count for tally in champion])
    failing = [clearly_fails(_sum(champion[group]), tolerated) for group in groups]
    shared = [it for group, it in zip(groups, failing, strict=True) for _ in ordered[group]]
    apart = [not it for it in shared]
    if clearly_fails(_sum(compress(champion, apart)), tolerated):
        # Too few requests in each of them, but not in all together.
        shared, apart, failing = [True] * len(ordered), [False] * len(ordered), [True]
    new, old = _sum(compress(challenger, shared)), _sum(compress(champion, shared))
    if not any(shared) or clearly_worse(old, new, tolerated):
        return None
    return BothFail(
        tolerated, sum(shared), len(ordered), new, old, others=tuple(compress(ordered, apart)), lasts=failing[-1]
    )


def _groups(requests: Sequence[int]) -> list[slice]:
    """Slices of consecutive windows, each with enough requests of the champion."""
    groups, begin, count = list[slice](), 0, 0
    for at, more in enumerate(requests):
        if count >= _ENOUGH and more:
            groups.append(slice(begin, at))
            begin, count = at, 0
        count += more
    return [*groups, slice(begin, len(requests))]


def _sum(tallies: Iterable[Tally]) -> Counted:
    each = list(tallies)
    return Counted(sum(tally.total for tally in each), sum(tally.count for tally in each))
