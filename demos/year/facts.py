"""What the year brought, as the report tells it; times are those of the data, epoch seconds, unless said otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from demos.year.losses import Day, Losses
from demos.year.plan import Plan
from modelstack.pipeline.comparison import Comparison, compare

LIVE = "live"
AFTER_DAYS = 14
_DAY = 86_400.0


@dataclass(frozen=True)
class Alarm:
    """One time that an alarm fired.

    Attributes:
        kind: `drift`, `concept`, or the end of another alarm's name.
        variant: Of which variant; empty for one of the whole endpoint.
        began: When it began to fire.
        ended: When it was silent again; None if it never was.
    """

    kind: str
    variant: str
    began: float
    ended: float | None


@dataclass(frozen=True)
class Retraining:
    """One training job.

    Attributes:
        began: When it was begun.
        ended: When its outcome was known; None if it was not.
        through: The day up to which it took data.
        why: What asked for it, in words.
        asked: The alarm that asked for it, as its variant and measure; empty when none did.
        outcome: `candidate`, `kept` (the champion is not worse), `failed` or `stopped`; empty if it has not ended.
        text: The outcome in words.
        numbers: The comparison with the champion on the newest labelled days, if there was one.
        release: The candidate's id; empty without one.
        verdict: How the candidate's rollout ended; empty if there was none.
    """

    began: float
    ended: float | None
    through: str
    why: str
    outcome: str
    text: str
    numbers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    release: str = ""
    verdict: str = ""
    asked: str = ""


@dataclass(frozen=True)
class Rollout:
    """One release on its way to the traffic.

    Attributes:
        release: Its id.
        began: When it began.
        ended: When the verdict fell; None if it did not.
        outcome: The verdict; empty if there was none.
        text: Why.
    """

    release: str
    began: float
    ended: float | None
    outcome: str
    text: str


@dataclass
class Counts:
    """What was sent and what came of it.

    Attributes:
        events: Sent, in `requests` requests.
        requests: How many that were.
        failed: Events whose request failed.
        unlabelled: Answered events that never get a label.
        labelled: Answered events with a label.
        joined: Pairs of answer and label that the stack's metrics count.
        failures: The first failures in words.
    """

    events: int = 0
    requests: int = 0
    failed: int = 0
    unlabelled: int = 0
    labelled: int = 0
    joined: int = 0
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gain:
    """By how much one policy's loss was lower than another's, on the same events; the interval counts days."""

    policy: str
    against: str
    compared: Comparison


@dataclass(frozen=True)
class Year:
    """All of it.

    Attributes:
        plan: What was replayed, and how fast.
        took_s: How long the replay took, real seconds.
        counts: What was sent.
        days: The mean losses of each day by policy.
        gains: Policies against each other, over all days.
        alarms: Each time that one fired, in order.
        retrainings: Each training job, in order.
        rollouts: Each release after the first, in order.
        evidence: Curve -> its points, time and value.
        served: Day -> variant -> answers with a label.
        remarks: What did not go as it should.
    """

    plan: Plan
    took_s: float
    counts: Counts
    days: tuple[Day, ...] = ()
    gains: tuple[Gain, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    retrainings: tuple[Retraining, ...] = ()
    rollouts: tuple[Rollout, ...] = ()
    evidence: Mapping[str, Sequence[tuple[float, float]]] = field(
        default_factory=dict[str, Sequence[tuple[float, float]]]
    )
    served: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    remarks: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        gains = [
            {"policy": one.policy, "against": one.against, "compared": one.compared.as_dict()} for one in self.gains
        ]
        return {**asdict(self), "gains": gains}

    def mean(self, policy: str, since: float, until: float) -> float | None:
        """The mean loss of the whole days between two times; None without any."""
        some = [day for day in self.days if since <= start(day.day) and start(day.day) + _DAY <= until]
        events = sum(day.events for day in some)
        return sum(day.events * day.means[policy] for day in some) / events if events else None

    def around(self, at: float, policy: str = LIVE) -> tuple[float | None, float | None]:
        """The mean loss of the two weeks before the day of a time, and of the two weeks after it."""
        day = at - at % _DAY
        before = self.mean(policy, day - AFTER_DAYS * _DAY, day)
        return before, self.mean(policy, day + _DAY, day + (AFTER_DAYS + 1) * _DAY)


def start(day: str) -> float:
    """When a day begins."""
    return float(np.datetime64(day, "s").astype(int))


def gain(policies: Mapping[str, Losses], day_of: Mapping[str, str], policy: str, against: str) -> Gain:
    """Hold one policy against another, on the events that all have an answer to.

    Raises:
        ValueError: There is none.
    """
    shared = sorted(set(day_of).intersection(*policies.values()))
    found = compare(
        "log_loss",
        champion=np.array([policies[against][name] for name in shared]),
        challenger=np.array([policies[policy][name] for name in shared]),
        times=np.array([day_of[name] for name in shared], dtype="datetime64[D]"),
    )
    return Gain(policy, against, found)
