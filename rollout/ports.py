"""The ports: what a rollout needs from the world. An adapter for a platform implements these five and a clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from rollout.decision import Seen
from rollout.state import Event, RolloutState

Approval = Literal["Approved", "Rejected", "PendingManualApproval"]
Status = Literal["ready", "changing", "failed"]


class RolloutError(Exception):
    """Something a person asked of a rollout cannot be done; the message says why and what to do."""


class Busy(RolloutError):
    """The endpoint or an API does not take the call now; the same call later may succeed."""


class Unreachable(RolloutError):
    """A platform does not answer, after bounded retries."""


class Conflict(RolloutError):
    """The journal moved on since it was read."""


@dataclass(frozen=True)
class Variant:
    """A live production variant.

    Attributes:
        weight: The relative weight that routes traffic now.
        desired: The relative weight it is going to.
        instances: How many instances serve now.
    """

    weight: float
    desired: float
    instances: int


@dataclass(frozen=True)
class Live:
    """What the endpoint says of itself.

    Attributes:
        status: `ready` (takes changes), `changing`, or `failed`.
        config: The endpoint config that serves; while `changing`, it may be the old or the new one.
        variants: The production variants, by name.
        detail: The platform's own words on its status.
    """

    status: Status
    config: str
    variants: Mapping[str, Variant] = field(default_factory=dict[str, Variant])
    detail: str = ""

    def shares(self, *, desired: bool = False) -> dict[str, float]:
        """Percent of traffic per variant, now or as asked for; all 0 when no variant has a weight."""
        weights = {name: item.desired if desired else item.weight for name, item in self.variants.items()}
        total = sum(weights.values())
        return {name: 100 * weight / total if total > 0 else 0.0 for name, weight in weights.items()}


class Traffic(Protocol):
    """Reads and sets what the endpoint serves. Every call may be repeated."""

    def read(self) -> Live:
        """What is live now.

        Raises:
            Unreachable: The platform does not answer.
        """
        ...

    def set_weights(self, weights: Mapping[str, int]) -> None:
        """Ask for these weights; returns when the platform has taken the request.

        Raises:
            Busy: The endpoint is changing, or the API throttles.
            Unreachable: The platform does not answer.
        """
        ...

    def use_config(self, name: str) -> None:
        """Ask the endpoint to serve this config; returns when the platform has taken the request.

        Raises:
            Busy: The endpoint is changing, or the API throttles.
            Unreachable: The platform does not answer.
        """
        ...


class Signals(Protocol):
    """Observations per variant and window."""

    def read(self, champion: str, challenger: str, start: float, end: float, window_seconds: int) -> Seen:
        """The requests and errors of both variants in the windows that lie between two times.

        An unreachable metric is an answer (`Seen.unknown`), not an error.
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
        """The status of a package.

        Raises:
            Unreachable: The registry does not answer.
        """
        ...

    def set_approval(self, package: str, approval: Approval, why: str) -> None:
        """Set the status of a package, with the reason.

        Raises:
            Unreachable: The registry does not answer.
        """
        ...


class Notify(Protocol):
    """Tells people."""

    def send(self, event: Event) -> None:
        """Send one event. It may be sent twice, never not at all.

        Raises:
            Unreachable: The platform does not answer.
        """
        ...


class Clock(Protocol):
    """Time, as an argument."""

    def time(self) -> float:
        """Epoch seconds."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...
