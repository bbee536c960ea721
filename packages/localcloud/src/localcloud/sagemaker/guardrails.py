"""What may a DeploymentConfig ask for, and by which steps does traffic move?

The rules are those of "Deployment guardrails for updating models in production" in the Amazon SageMaker developer
guide and of the API reference; where AWS's own words are not known, the text names the member, its value and what is
allowed.

How the waits are read: traffic moves in steps, and each step but the last is followed by WaitIntervalInSeconds. The
last step of a blue/green deployment is followed by TerminationWaitInSeconds ("Baking for X seconds
(TerminationWaitInSeconds) with traffic enabled on full capacity", as AWS's own status says), the last batch of a
rolling one by WaitIntervalInSeconds too. Alarms are watched in all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from localcloud.sagemaker.deployment import Deployment
from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.store import Document

ALL_AT_ONCE, CANARY, LINEAR, ROLLING = "ALL_AT_ONCE", "CANARY", "LINEAR", "ROLLING"

LONGEST = 28800
"""Seconds that a deployment may take when it names no MaximumExecutionTimeoutInSeconds: the largest that it could."""

_LIMITS = {CANARY: (1, 50), LINEAR: (10, 50), ROLLING: (5, 50)}
_SIZES = {CANARY: "CanarySize", LINEAR: "LinearStepSize", ROLLING: "MaximumBatchSize"}
_EXCLUDED_TYPES = ("ml.inf1.",)


@dataclass(frozen=True)
class Size:
    """A part of a fleet: a number of instances, or a percentage of its capacity."""

    value: int
    percent: bool

    def instances(self, total: int) -> int:
        """How many of `total` instances it is, at least one."""
        return min(total, max(1, math.floor(total * self.value / 100) if self.percent else self.value))

    def share(self, total: int) -> float:
        """Which part of `total` instances it is."""
        return self.value / 100 if self.percent else self.value / total


@dataclass(frozen=True)
class Policy:
    """A DeploymentConfig, read.

    Attributes:
        kind: ALL_AT_ONCE, CANARY, LINEAR or ROLLING.
        size: Of the canary, of each linear step, or of each batch; None for ALL_AT_ONCE.
        wait: WaitIntervalInSeconds.
        termination: TerminationWaitInSeconds.
        limit: MaximumExecutionTimeoutInSeconds.
        rollback: RollbackMaximumBatchSize; None for all at once.
        alarms: Names of the alarms of AutoRollbackConfiguration.
    """

    kind: str = ALL_AT_ONCE
    size: Size | None = None
    wait: int = 0
    termination: int = 0
    limit: int = LONGEST
    rollback: Size | None = None
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """One shift of traffic.

    Attributes:
        share: Of the traffic that the new fleet takes from now on.
        instances: That take it, for people.
        bake: Seconds until the next step, or until the deployment is done.
    """

    share: float
    instances: int
    bake: int


def read(config: Document) -> Policy:
    """Read a DeploymentConfig that satisfies its shape.

    Raises:
        ApiError: A ValidationException: its members contradict one another or a documented limit.
    """
    blue_green, rolling = config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")
    names = [alarm["AlarmName"] for alarm in config.get("AutoRollbackConfiguration", {}).get("Alarms", ()) if alarm]
    alarms = tuple(dict.fromkeys(names))
    if blue_green and rolling:
        raise invalid(
            "Only one update policy should be used in the deployment configuration; it has BlueGreenUpdatePolicy and "
            "RollingUpdatePolicy."
        )
    if rolling:
        policy = Policy(
            ROLLING,
            _size(rolling, ROLLING),
            wait=rolling["WaitIntervalInSeconds"],
            limit=rolling.get("MaximumExecutionTimeoutInSeconds", LONGEST),
            rollback=_plain(rolling["RollbackMaximumBatchSize"]) if "RollbackMaximumBatchSize" in rolling else None,
            alarms=alarms,
        )
        if policy.rollback and policy.rollback.percent and policy.rollback.value > 100:
            raise invalid(f"RollbackMaximumBatchSize is {policy.rollback.value} %; it must be at most 100 %.")
        return policy
    if not blue_green:
        return Policy(alarms=alarms)
    routing = blue_green["TrafficRoutingConfiguration"]
    kind = routing["Type"]
    for other, member in _SIZES.items():
        if member in routing and other != kind:
            raise invalid(f"{member} is for traffic routing of type {other}, not of type {kind}.")
    return Policy(
        kind,
        None if kind == ALL_AT_ONCE else _size(routing, kind),
        wait=routing["WaitIntervalInSeconds"],
        termination=blue_green.get("TerminationWaitInSeconds", 0),
        limit=blue_green.get("MaximumExecutionTimeoutInSeconds", LONGEST),
        alarms=alarms,
    )


def applied(policy: Policy, old: Deployment, new: Deployment) -> Policy:
    """The policy as it applies to an update from one deployment to another.

    AWS documents one silent exception: an endpoint with Inf1 instances falls back to all at once without baking.

    Raises:
        ApiError: A ValidationException: the deployments are not ones that guardrails can work on.
    """
    names = [sorted(variant.name for variant in side.variants) for side in (old, new)]
    if names[0] != names[1]:
        raise invalid(
            "The new endpoint configuration must have the same variant names as the old one when a DeploymentConfig is "
            f"used; the old one has {', '.join(names[0])}, the new one {', '.join(names[1])}."
        )
    if policy.kind == ROLLING and (len(new.variants) > 1 or len(old.variants) > 1):
        raise invalid(f"Rolling deployments are not supported for multi-variant endpoints: {', '.join(names[0])}.")
    types = [variant.instance_type or "" for side in (old, new) for variant in side.variants]
    if any(kind.startswith(_EXCLUDED_TYPES) for kind in types):
        return Policy()
    for variant in new.production:
        _require_part(policy, variant.name, variant.desired_count)
    _require_time(policy, steps(policy, new))
    return policy


def steps(policy: Policy, new: Deployment) -> list[Step]:
    """The shifts of traffic, the last of which gives all to the new fleet."""
    total = new.instances
    if policy.kind == ALL_AT_ONCE or policy.size is None:
        return [Step(1.0, total, policy.termination)]
    if policy.kind == ROLLING:
        batch = policy.size.instances(total)
        counts = [min(total, done + batch) for done in range(0, total, batch)]
        return [Step(count / total, count, policy.wait) for count in counts]
    # INSTANCE_COUNT counts instances of each variant; with several variants the share is that of all together.
    part = policy.size.share(total if policy.size.percent else max(1, total // len(new.production)))
    number = 2 if policy.kind == CANARY else math.ceil(round(1 / part, 9))
    shares = [part * (position + 1) for position in range(number - 1)]
    return [Step(share, math.ceil(round(share * total, 9)), policy.wait) for share in shares] + [
        Step(1.0, total, policy.termination)
    ]


def _size(policy: Document, kind: str) -> Size:
    member = _SIZES[kind]
    if member not in policy:
        raise invalid(f"{member} is required for traffic routing of type {kind}.")
    size = _plain(policy[member])
    least, most = _LIMITS[kind]
    if size.percent and not least <= size.value <= most:
        raise invalid(f"{member} is {size.value} %; {_allowed(kind)}.")
    return size


def _plain(size: Document) -> Size:
    return Size(size["Value"], size["Type"] == "CAPACITY_PERCENT")


def _allowed(kind: str) -> str:
    least, most = _LIMITS[kind]
    between = f"less than or equal to {most}%" if kind == CANARY else f"{least}-{most}%"
    return f"Value must be {between} of the variant's total instance count"


def _require_part(policy: Policy, variant: str, count: int) -> None:
    if policy.size is None or policy.size.percent:
        return
    least, most = _LIMITS[policy.kind]
    percent = 100 * policy.size.value / count
    if percent > most or (percent < least and policy.kind != CANARY):
        raise invalid(
            f"{_SIZES[policy.kind]} is {policy.size.value} of the {count} instances of variant {variant}, which is "
            f"{percent:.4g} %; {_allowed(policy.kind)}."
        )


def _require_time(policy: Policy, planned: list[Step]) -> None:
    total = sum(step.bake for step in planned)
    if total >= policy.limit:
        waits = len(planned) - (policy.kind != ROLLING)
        raise invalid(
            f"MaximumExecutionTimeoutInSeconds ({policy.limit}) should be larger than the total waiting time: "
            f"{waits} x {policy.wait} s WaitIntervalInSeconds + {policy.termination} s TerminationWaitInSeconds "
            f"= {total} s."
        )
