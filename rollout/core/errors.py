"""What cannot be done, and what a later call may do."""

from __future__ import annotations


class RolloutError(Exception):
    """Something a person asked of a rollout cannot be done; the message says why and what to do."""


class Busy(RolloutError):
    """The endpoint or an API does not take the call now; the same call later may succeed."""


class Unreachable(RolloutError):
    """A platform does not answer, after bounded retries."""


class Conflict(RolloutError):
    """The journal moved on since it was read."""
