"""The ports: what a rollout needs from the world. An adapter for a platform implements these seven and a clock.
One whose platform does not move instances under guard by itself implements `Mover` too.

Every call but those of the signals and the clock raises Unreachable when the platform does not answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rollout.core.event import Event
from rollout.core.live import Approval, Live
from rollout.core.plan import Guard
from rollout.core.ringing import Ringing
from rollout.core.state import Pivot, Replayed, RolloutState
from rollout.judge.metrics import Metric

if TYPE_CHECKING:  # what reads the journal alone needs no judge
    from rollout.core.decision import TrialObservations


class Traffic(Protocol):
    """Reads and sets what the endpoint serves. Every call may be repeated.

    What sets something raises Busy when the endpoint is changing, or the API throttles.
    """

    def read(self) -> Live:
        """What is live now."""
        ...

    def set_weights(self, weights: Mapping[str, int]) -> None:
        """Ask for these weights; returns when the platform has taken the request."""
        ...

    def use_config(self, name: str, guard: Guard | None = None) -> None:
        """Ask the endpoint to serve this config; returns when the platform has taken the request.

        Args:
            name: The config.
            guard: How the platform is to move the traffic, when only the instances change.
        """
        ...


class Mover(Protocol):
    """Carries on a change that the endpoint began, step by step, where the platform does not do that by itself."""

    def advance(self) -> bool:
        """Do what is due now; whether anything was changed. Every call may be repeated, and be made by several at once.

        A change that the journal does not want any more is called off.
        """
        ...


@dataclass(frozen=True)
class SignalQuery:
    """What is asked of the signals.

    Attributes:
        champion: The champion's variant.
        challenger: The challenger's variant.
        rollout_id: The rollout; labels are counted only for requests that were answered in it.
        start: Epoch seconds; only windows that begin then or later.
        end: Epoch seconds; only windows that end then or earlier.
        window_seconds: The width of a window.
        metrics: What to read besides requests and errors.
        pivots: Where to cut latencies, by metric; windows before a pivot was fixed hold nothing of its metric.
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
    """A quantile of a variant's latency over some time, in the platform's unit, and of how many requests."""

    value: float
    requests: int


class Signals(Protocol):
    """Observations per variant and window."""

    def read(self, ask: SignalQuery) -> TrialObservations:
        """The tallies of both variants in the windows that lie between two times.

        The metric `errors` is always among them: its observations are the requests. An unreachable metric is an answer
        (`TrialObservations.unknown`), not an error.
        """
        ...

    def quantile(self, variant: str, quantile: float, end: float) -> Quantile | None:
        """A quantile of a variant's latency in the hours before `end`; None when there is none or it is unreachable."""
        ...


class Alarms(Protocol):
    """The alarms on how champion and challenger answer."""

    def ringing(self, state: RolloutState) -> tuple[Ringing, ...]:
        """Those that ring now, but for one on a challenger whose champion fails alike: that one is left to the judge.

        Raises:
            RolloutError: They cannot be read.
        """
        ...


class Replay(Protocol):
    """Sends captured requests of the champion to a challenger that has no live traffic."""

    def run(self, champion: str, challenger: str, requests: int, before: Replayed) -> Replayed:
        """Replay up to so many requests, the latest first. A run takes a minute or so; the next one goes on.

        Args:
            champion: The variant whose requests and answers were captured.
            challenger: The variant that answers now.
            requests: At most how many.
            before: What came of those before them.

        Returns:
            What came of all of them.

        Raises:
            Busy: The endpoint or an API does not take the calls now.
        """
        ...


class Journal(Protocol):
    """Keeps one state an endpoint; a write lands only on the revision that was read."""

    def read(self) -> RolloutState:
        """The state, read consistently; an empty one when there is none.

        Raises:
            Unreachable: The journal does not answer.
        """
        ...

    def write(self, state: RolloutState) -> RolloutState:
        """Store `state` as the successor of revision `state.revision`; returns it with its new revision.

        Raises:
            Conflict: Another writer was first.
            Unreachable: The journal does not answer; the write may or may not have landed.
        """
        ...


class Registry(Protocol):
    """Keeps a package's approval status."""

    def approval(self, package: str) -> Approval:
        """The status of a package."""
        ...

    def set_approval(self, package: str, approval: Approval, why: str) -> None:
        """Set the status of a package, with the reason."""
        ...


class Notify(Protocol):
    """Tells people."""

    def send(self, event: Event) -> None:
        """Send one event. It may be sent twice, never not at all."""
        ...


class Clock(Protocol):
    """Time, as an argument."""

    def time(self) -> float:
        """Epoch seconds."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...
