"""Which stretch of the data is replayed, and how fast?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Literal

Doing = Literal["", "training", "trial", "labels"]
"""What is under way; an update belongs to its trial. `labels`: more of them wait to be joined than a day has."""

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Plan:
    """A stretch and its pace.

    A trial needs so many requests, and a training so many seconds, whatever the calendar says. At the pace of a quiet
    day they would take months of it, so days take longer as long as one of them is under way: a training, which takes
    an hour of a real year, takes some days at most.

    Attributes:
        since: First day, UTC, YYYY-MM-DD.
        until: End, not included.
        day_s: Seconds that a day takes.
        trial_day_s: Seconds that a day takes while an update or a trial is under way, or labels are behind.
        training_day_s: Seconds that a day takes while a training job runs.
        rate: Requests a second at noon, but while a training job runs; each holds the events between two of them.
        look_s: Seconds between two calls of the retrain function: its schedule counts minutes, which are weeks here.
        labels_behind: Pairs of answer and label that may wait to be joined before labels are behind: what takes seconds
            would otherwise be weeks late here.
        last_release_days: Days before the end from which on no release begins: its trial would run out of requests.
    """

    since: str = "2013-03-01"
    until: str = "2014-01-01"
    day_s: float = 2.0
    trial_day_s: float = 7.0
    training_day_s: float = 60.0
    rate: float = 20.0
    look_s: float = 5.0
    labels_behind: int = 5000
    last_release_days: int = 14

    @property
    def days(self) -> list[str]:
        """Each day, as the report counts them."""
        first, end = date.fromisoformat(self.since), date.fromisoformat(self.until)
        return [(first + DAY * number).isoformat() for number in range((end - first).days)]

    @property
    def months(self) -> list[tuple[str, str]]:
        """The stretch cut at each first of a month: from, until (not included)."""
        cuts = [self.since, *(day for day in self.days[1:] if day.endswith("-01")), self.until]
        return list(pairwise(cuts))

    def between(self, doing: Doing) -> timedelta:
        """The time of the events between two requests; a training needs none, and they would take its processor."""
        return DAY / (self.rate * min(self.seconds(doing), self.trial_day_s))

    def seconds(self, doing: Doing) -> float:
        """How long a day takes."""
        return {
            "": self.day_s,
            "trial": self.trial_day_s,
            "labels": self.trial_day_s,
            "training": self.training_day_s,
        }[doing]

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return asdict(self)
