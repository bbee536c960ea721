"""DeploymentConfigs for tests, and load on an endpoint in this process."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any


def size(value: int, kind: str = "CAPACITY_PERCENT") -> dict[str, Any]:
    """A CapacitySize."""
    return {"Type": kind, "Value": value}


def blue_green(
    kind: str, wait: int = 60, termination: int = 60, limit: int = 28800, alarms: tuple[str, ...] = (), **sizes: Any
) -> dict[str, Any]:
    """A DeploymentConfig with a BlueGreenUpdatePolicy."""
    policy = {
        "TrafficRoutingConfiguration": {"Type": kind, "WaitIntervalInSeconds": wait, **sizes},
        "TerminationWaitInSeconds": termination,
        "MaximumExecutionTimeoutInSeconds": limit,
    }
    return {"BlueGreenUpdatePolicy": policy, **_watched(alarms)}


def canary(percent: int = 25, **more: Any) -> dict[str, Any]:
    """A canary of a percentage."""
    return blue_green("CANARY", CanarySize=size(percent), **more)


def linear(percent: int = 25, **more: Any) -> dict[str, Any]:
    """Linear steps of a percentage."""
    return blue_green("LINEAR", LinearStepSize=size(percent), **more)


def rolling(
    batch: dict[str, Any], wait: int = 60, limit: int = 28800, alarms: tuple[str, ...] = (), **more: Any
) -> dict[str, Any]:
    """A DeploymentConfig with a RollingUpdatePolicy."""
    policy = {"MaximumBatchSize": batch, "WaitIntervalInSeconds": wait, "MaximumExecutionTimeoutInSeconds": limit}
    return {"RollingUpdatePolicy": {**policy, **more}, **_watched(alarms)}


def _watched(alarms: tuple[str, ...]) -> dict[str, Any]:
    named = [{"AlarmName": name} for name in alarms]
    return {"AutoRollbackConfiguration": {"Alarms": named}} if alarms else {}


class Load:
    """Requests without a pause, a few at a time, on an endpoint in this process.

    The model takes its time, so that requests are on their way at any moment, though few are sent.

    Attributes:
        seen: Which models answered, in order.
        errors: What was not answered.
    """

    def __init__(self, inside: Any, endpoint: str, clients: int = 3) -> None:
        self.inside = inside
        self.endpoint = endpoint
        self.clients = clients
        self.seen: list[str] = []
        self.errors: list[BaseException] = []
        self.stopped = False
        self.tasks: list[asyncio.Task[None]] = []

    async def _ask(self) -> None:
        while not self.stopped:
            try:
                self.seen.append((await self.inside.invoke(self.endpoint, {"sleep": 0.02}))["name"])
            except Exception as error:
                self.errors.append(error)
                await asyncio.sleep(0.02)

    async def __aenter__(self) -> Load:
        self.tasks = [asyncio.create_task(self._ask()) for _ in range(self.clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stopped = True
        await asyncio.gather(*self.tasks)

    async def split(self, answers: int = 30) -> Counter[str]:
        """Which models give the next answers, apart from requests that were on their way already."""
        begun = len(self.seen) + self.clients
        while len(self.seen) < begun + answers:
            assert not self.errors, self.errors
            await asyncio.sleep(0.005)
        return Counter(self.seen[begun:])
