"""The ports: what a platform implements for a rollout (`Mover` only if it does not move instances by itself).

Every call except those of the signals and the clock raises Unreachable when the platform does not answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from modelstack.rollout.core.event import Event
from modelstack.rollout.core.firing_alarms import VariantAlarm
from modelstack.rollout.core.live import Approval, Live
from modelstack.rollout.core.plan import Guard
from modelstack.rollout.core.state import Pivot, Replayed, RolloutState
from modelstack.rollout.judge.metrics import Metric

if TYPE_CHECKING:  # programs that only read the journal import no judge
    from modelstack.rollout.core.decision import TrialObservations


class Traffic(Protocol):
    """Reads and sets what the endpoint serves. Every call may be repeated.

    Calls that set something raise Busy when the endpoint is changing or the API throttles, and return when the platform
    has accepted the request.
    """

    def read(self) -> Live:
        """The endpoint's present state."""

    def set_weights(self, weights: Mapping[str, int]) -> None:
        """Request these weights."""

    def use_config(self, name: str, guard: Guard | None = None) -> bool | None:
        """Request this endpoint config; `guard` says how to move the traffic when only the instances change.

        True if the platform now finishes the change by itself: a ready endpoint that serves its old config has failed.
        """


class Mover(Protocol):
    """Continues a change of the endpoint, step by step."""

    def advance(self) -> bool:
        """Do what is due, or cancel what the journal no longer wants; whether anything changed. Safe concurrently."""


@dataclass(frozen=True)
class SignalQuery:
    """A query for the windows of two variants.

    Attributes:
        rollout_id: Labels are counted only for requests that were answered in this rollout.
        start: Epoch seconds; only windows that begin then or later.
        end: Epoch seconds; only windows that end then or earlier.
        pivots: By metric; windows before its first pivot have nothing of the metric.
    """

    champion: str
    challenger: str
    rollout_id: str
    start: float
    end: float
    window_seconds: int
    metrics: tuple[Metric, ...] = ()
    pivots: Mapping[str, Pivot] = field(default_factory=dict[str, Pivot])


@dataclass(frozen=True)
class Quantile:
    """A quantile of a variant's latency, in the platform's unit, and the number of requests."""

    value: float
    requests: int


class Signals(Protocol):
    """Observations per variant and window."""

    def read(self, ask: SignalQuery) -> TrialObservations:
        """The tallies of both variants per window, always including `errors`, whose observations are the requests.

        An unreachable metric is an answer (`TrialObservations.unknown`), not an error.
        """

    def quantile(self, variant: str, quantile: float, start: float, end: float) -> Quantile | None:
        """A quantile of a variant's latency between two times; None when unknown or unreachable."""


class Alarms(Protocol):
    """The alarms on champion and challenger."""

    def firing(self, state: RolloutState) -> tuple[VariantAlarm, ...]:
        """Those that fire now, but not on a challenger whose champion fails alike. RolloutError if unreadable."""


class Replay(Protocol):
    """Sends captured requests of the champion to a challenger that has no live traffic."""

    def run(self, champion: str, challenger: str, requests: int, before: Replayed) -> Replayed:
        """Replay at most `requests` requests, the latest first, and return the results including those of `before`.

        A run takes about a minute; the next one continues. Raises Busy when the endpoint or an API throttles.
        """


class Journal(Protocol):
    """Stores one state per endpoint; a write succeeds only on the revision that was read."""

    def read(self) -> RolloutState:
        """The state, with a consistent read; an empty one when there is none."""

    def write(self, state: RolloutState) -> RolloutState:
        """Store `state` as the successor of revision `state.revision`, and return it with its new revision.

        Raises:
            Conflict: Another writer was first.
            Unreachable: The write may or may not have succeeded.
        """


class Registry(Protocol):
    """Stores the approval status of packages."""

    def approval(self, package: str) -> Approval:
        """The status of a package."""

    def set_approval(self, package: str, approval: Approval, why: str) -> None:
        """Set the status of a package, with the reason."""


class Notify(Protocol):
    """Notifies people."""

    def send(self, event: Event) -> None:
        """Send one event, at least once."""


class Clock(Protocol):
    """The clock, as an argument."""

    def time(self) -> float:
        """Epoch seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
