"""When is a step that failed tried again? Pure.

Source: "Retry policy for pipeline steps" in the developer guide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SERVICE_FAULT, THROTTLING = "Step.SERVICE_FAULT", "Step.THROTTLING"
INTERNAL_ERROR, RESOURCE_LIMIT = "SageMaker.JOB_INTERNAL_ERROR", "SageMaker.RESOURCE_LIMIT"
CAPACITY_ERROR = "SageMaker.CAPACITY_ERROR"
# The developer guide once had another name for it.
EXCEPTIONS = {SERVICE_FAULT, THROTTLING, INTERNAL_ERROR, RESOURCE_LIMIT, CAPACITY_ERROR, "SageMaker.JOB_CAPACITY_ERROR"}

_MOST = {"IntervalSeconds": 43_200, "MaxAttempts": 20, "ExpireAfterMin": 14_400}
_MEMBERS = {"ExceptionType", "BackoffRate", *_MOST}
_DEFAULT_ATTEMPTS = 5
_THROTTLED = {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"}


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and after which pauses.

    Attributes:
        exceptions: For which it is.
        interval: Seconds before the first retry.
        rate: By which the pause grows.
        attempts: Retries at most; None if only time ends them.
        seconds: Since the step began, after which there is no retry any more; None if only their number ends them.
    """

    exceptions: frozenset[str]
    interval: float = 1
    rate: float = 2
    attempts: int | None = _DEFAULT_ATTEMPTS
    seconds: float | None = None

    def pause(self, retries: int, elapsed: float) -> float | None:
        """Seconds before the next retry; None if there is to be none.

        Args:
            retries: How many there were.
            elapsed: Seconds since the step began.
        """
        too_many = self.attempts is not None and retries >= self.attempts
        too_late = self.seconds is not None and elapsed >= self.seconds
        return None if too_many or too_late else self.interval * self.rate**retries


_BY_DEFAULT = RetryPolicy(frozenset({SERVICE_FAULT, THROTTLING}))


def read(policy: Any) -> RetryPolicy:
    """Read a policy of a definition.

    Raises:
        ValueError: It is none; the text says why.
    """
    if not isinstance(policy, Mapping) or not policy.keys() <= _MEMBERS:
        raise ValueError(f"a retry policy has {', '.join(sorted(_MEMBERS))}, not {policy!r}")
    named = policy.get("ExceptionType")
    if not isinstance(named, list) or not named or any(one not in list(EXCEPTIONS) for one in named):
        raise ValueError(f"ExceptionType of a retry policy is {named!r}; there are {', '.join(sorted(EXCEPTIONS))}")
    if "MaxAttempts" in policy and "ExpireAfterMin" in policy:
        raise ValueError("a retry policy has either MaxAttempts or ExpireAfterMin, not both")
    for member, most in _MOST.items():
        value = policy.get(member, 0)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise ValueError(f"{member} of a retry policy is {value!r}; it is an integer from 0 to {most}")
    rate = policy.get("BackoffRate", 2)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or rate < 0:
        raise ValueError(f"BackoffRate of a retry policy is {rate!r}; it is a number that is not negative")
    minutes = policy.get("ExpireAfterMin")
    return RetryPolicy(
        frozenset(CAPACITY_ERROR if name.endswith("CAPACITY_ERROR") else name for name in named),
        policy.get("IntervalSeconds", 1),
        rate,
        None if minutes is not None else policy.get("MaxAttempts", _DEFAULT_ATTEMPTS),
        None if minutes is None else minutes * 60,
    )


def policy_for(exception: str, policies: Sequence[RetryPolicy]) -> RetryPolicy | None:
    """The first of a step's policies for an exception, or else AWS's own if there is one."""
    return next((policy for policy in (*policies, _BY_DEFAULT) if exception in policy.exceptions), None)


def of_refusal(code: str, status: int) -> str:
    """The exception that a refused request is; empty if it is none that may be tried again."""
    if code in _THROTTLED:
        return THROTTLING
    if code == "ResourceLimitExceeded":
        return RESOURCE_LIMIT
    return SERVICE_FAULT if status >= 500 else ""


def of_failure(reason: str) -> str:
    """The exception that the failure of a job is; empty if it is none that may be tried again."""
    if reason.startswith("InternalServerError"):
        return INTERNAL_ERROR
    return CAPACITY_ERROR if reason.startswith("CapacityError") or "InsufficientCapacity" in reason else ""
