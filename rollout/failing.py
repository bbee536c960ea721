"""Do both versions fail? Then something is down that both need, and that says nothing for a challenger. Pure.

    failing = both_fail(windows, tolerated=0.05)
    failing.others     # the windows that count
    failing.lasts      # whether it is so in the newest ones

Such windows are told by the champion's failures, beyond chance: where only chance could tell them, leaving out those in
which both failed by chance would leave a challenger better than it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from rollout.metrics import Tally, Window

FAILED = "failed"
"""The tally of answers 5XX: the version's failures, without the refusals (4XX) that a client's own mistakes bring."""
ERRORS_OF_MEAN = 3.0
"""By how many standard errors one must be worse than the other; by chance it is so once in several hundred outages."""
_ENOUGH = 50  # requests of the champion; windows with fewer are looked at together


@dataclass(frozen=True)
class Counted:
    """Requests of one version, and how many of them were bad (failed, or slow)."""

    bad: float
    requests: float

    @property
    def share(self) -> float:
        """The share of bad ones; 0 without a request."""
        return self.bad / self.requests if self.requests else 0.0

    def __str__(self) -> str:
        return f"{self.bad:.0f} of {self.requests:.0f} ({self.share:.1%})"


def clearly_worse(one: Counted, other: Counted, tolerated: float) -> bool:
    """Whether one version fails more than another by more than is tolerated, beyond chance.

    With p = (bad + 1) / (requests + 2) of each and t the tolerated share:

        p1 - p0 > t + 3 sqrt(p0 (1 - p0) / (requests0 + 2) + p1 (1 - p1) / (requests1 + 2)).

    Source: Agresti, Caffo, Simple and effective confidence intervals for proportions and differences of proportions
    result from adding two successes and two failures, The American Statistician 54 (2000).
    """
    p1, p0 = _adjusted(one), _adjusted(other)
    spread = p0 * (1 - p0) / (other.requests + 2) + p1 * (1 - p1) / (one.requests + 2)
    return p1 - p0 > tolerated + ERRORS_OF_MEAN * math.sqrt(spread)


def clearly_fails(counted: Counted, tolerated: float) -> bool:
    """Whether a version fails more than is tolerated, beyond chance: p - 3 sqrt(p (1 - p) / (requests + 2)) > t."""
    p = _adjusted(counted)
    return p - ERRORS_OF_MEAN * math.sqrt(p * (1 - p) / (counted.requests + 2)) > tolerated


def _adjusted(counted: Counted) -> float:
    return (counted.bad + 1) / (counted.requests + 2)


@dataclass(frozen=True)
class BothFail:
    """The windows in which both versions failed more than is tolerated.

    Attributes:
        tolerated: The share of requests that may fail.
        windows: How many windows these are.
        of: How many there are in all.
        challenger: The challenger's requests in them.
        champion: The champion's.
        others: The other windows.
        lasts: Whether the newest windows are among them.
    """

    tolerated: float
    windows: int
    of: int
    challenger: Counted
    champion: Counted
    others: tuple[Window, ...]
    lasts: bool

    def __str__(self) -> str:
        return (
            f"in {self.windows} of {self.of} windows both versions failed (5XX) more than the tolerated "
            f"{self.tolerated:.1%}: {self.challenger} requests of the challenger, {self.champion} of the champion"
        )


def both_fail(windows: Sequence[Window], tolerated: float) -> BothFail | None:
    """The windows in which both versions failed, and failed alike.

    Args:
        windows: The windows of a trial, with tallies of `FAILED`; where these are missing, nothing is known to fail.
        tolerated: The share of requests that may fail.

    Returns:
        None when there is no such window, and when the challenger is clearly better in them, taken together: one that
        mends the champion must get through.
    """
    groups = list(_groups(windows))
    alike = [_alike(group, tolerated) for group in groups]
    shared, others = (
        [window for group, it in zip(groups, alike, strict=True) if it is fails for window in group]
        for fails in (True, False)
    )
    if _alike(others, tolerated):  # too little in each of them to tell, but not in all together
        shared, others, alike = list(windows), [], [True]
    challenger, champion = (
        _counted(window.challenger for window in shared),
        _counted(window.champion for window in shared),
    )
    if not shared or clearly_worse(champion, challenger, tolerated):
        return None
    return BothFail(tolerated, len(shared), len(windows), challenger, champion, tuple(others), lasts=alike[-1])


def _groups(windows: Sequence[Window]) -> Iterator[list[Window]]:
    """The windows in their order, so many together that the champion has enough requests in each group."""
    group, requests = list[Window](), 0.0
    for window in sorted(windows, key=attrgetter("start")):
        if requests >= _ENOUGH and _counted([window.champion]).requests:
            yield group
            group, requests = [], 0.0
        group.append(window)
        requests += _counted([window.champion]).requests
    yield group


def _alike(windows: Sequence[Window], tolerated: float) -> bool:
    """Whether the champion clearly fails, and the challenger, if it was asked, fails as well."""
    challenger, champion = (
        _counted(window.challenger for window in windows),
        _counted(window.champion for window in windows),
    )
    return clearly_fails(champion, tolerated) and (not challenger.requests or challenger.share > tolerated)


def _counted(sides: Iterable[Mapping[str, Tally]]) -> Counted:
    tallies = [side[FAILED] for side in sides if FAILED in side]
    return Counted(sum(item.total for item in tallies), sum(item.count for item in tallies))
