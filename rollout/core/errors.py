"""The errors of a rollout."""

from __future__ import annotations


class RolloutError(Exception):
    """A request that cannot be done; the message says why and what to do."""


class Busy(RolloutError):
    """The endpoint or an API does not accept the call now; a later call may succeed."""


class Unreachable(RolloutError):
    """A platform does not answer, after bounded retries."""


class Conflict(RolloutError):
    """The journal changed since it was read."""
