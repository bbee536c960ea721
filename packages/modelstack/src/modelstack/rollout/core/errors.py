"""The errors of a rollout."""

from __future__ import annotations


class RolloutError(Exception):
    """A request that cannot be done; the message says why and what to do."""


class Busy(RolloutError):
    """The endpoint or an API does not accept the call now; a later call may succeed."""


class Unreachable(RolloutError):
    """A platform does not answer, after bounded retries."""


class Unavailable(RolloutError):
    """A platform refuses the caller, or has nothing of that name, so the answer is not known."""


class Unanswered(Unreachable):
    """Requests got no answer of a version, and it is unknown of which: nothing is known of either."""


class Conflict(RolloutError):
    """The journal changed since it was read."""
