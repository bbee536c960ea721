"""How does traffic move from one fleet to the next under guardrails, and back when an alarm fires?

Traffic is moved by one number, the share of the new (green) fleet, and instances are ended only when they take none and
their last request is answered; so no step and no rollback costs a request.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from localcloud.sagemaker.alarms import Alarms, AlarmsUnreadable
from localcloud.sagemaker.deployment import Deployment
from localcloud.sagemaker.fleet import DeploymentFailed, Fleet, Hosting
from localcloud.sagemaker.guardrails import CANARY, ROLLING, Policy, Step, steps
from localcloud.sagemaker.routing import Live, side_of
from localcloud.sagemaker.summaries import Progress

_SHORTEST_POLL = 0.1
_log = logging.getLogger(__name__)


class RolledBack(Exception):
    """A deployment that was taken back; the old fleet serves alone. The text is the endpoint's FailureReason."""


class RollbackFailed(Exception):
    """A rolling deployment that could not be taken back; both fleets serve. The text is the FailureReason."""


class _Abort(Exception):
    """Why a deployment must be taken back."""


@dataclass(frozen=True)
class Reports:
    """Who is told what.

    Attributes:
        progress: Takes the stage that the deployment has come to.
        rolling_back: Takes the reason once the traffic is on its way back.
    """

    progress: Callable[[Progress], Awaitable[None]]
    rolling_back: Callable[[str], Awaitable[None]]


class Shift:
    """One guarded deployment of one endpoint.

    Args:
        endpoint: EndpointName.
        live: What takes its requests; left with the new fleet, or as it was.
        deployment: What is to serve.
        policy: How to get there.
        hosting: What fleets need.
        alarms: The cloud's alarms.
        reports: Who is told.
    """

    def __init__(
        self,
        endpoint: str,
        live: Live,
        deployment: Deployment,
        *,
        policy: Policy,
        hosting: Hosting,
        alarms: Alarms,
        reports: Reports,
    ) -> None:
        self._endpoint = endpoint
        self._live = live
        self._policy = policy
        self._hosting = hosting
        self._alarms = alarms
        self._reports = reports
        self._green = Fleet(endpoint, deployment, hosting)
        self._steps = steps(policy, deployment)
        self._deadline = asyncio.get_running_loop().time() + hosting.scaled(policy.limit)
        self._active: dict[str, int] = {}
        self._remaining: dict[str, int] = {}

    async def run(self) -> Fleet:
        """Move the endpoint; answers the old fleet, which takes no requests any more and is to be drained.

        Raises:
            DeploymentFailed: The new fleet did not come up; nothing has moved.
            RolledBack: Everything was put back.
            RollbackFailed: It was not: the endpoint serves from both fleets.
        """
        old = self._live.side
        try:
            await (self._roll() if self._policy.kind == ROLLING else self._blue_green())
        except _Abort as error:
            await self._back(str(error))
            raise RolledBack(str(error)) from error
        except DeploymentFailed:
            self._live.green, self._live.share = None, 0.0
            await self._green.stop(self._hosting.timing.shutdown)
            raise
        except Exception as error:  # whatever it was: the old fleet gets back what it gave away
            _log.exception("endpoint %s: the deployment to %s failed", self._endpoint, self._green.deployment.config)
            reason = f"The local SageMaker failed: {type(error).__name__}: {error}"
            await self._back(reason)
            raise RolledBack(reason) from error
        if self._live.green is not None:
            self._live.side, self._live.green, self._live.share = self._live.green, None, 0.0
        self._green.deployment = self._green.deployment.map(
            lambda variant: replace(variant, count=variant.desired_count)
        )
        return old.fleet

    async def _blue_green(self) -> None:
        total = self._steps[-1].instances
        await self._tell("Creating", f"Launching {total} instance(s).")
        async with self._in_time("the new fleet was not healthy"):
            await self._green.start()
        self._stand_by()
        for step in self._steps:
            await self._activate(step)
        old = self._live.fleet.deployment
        await self._tell("Deleting", f"Terminating {old.instances} instance(s).")

    async def _roll(self) -> None:
        (new,), (old,) = self._green.deployment.production, self._live.fleet.deployment.production
        for step in self._steps:
            fresh = step.instances - self._active.get(new.name, 0)
            await self._tell("Updating", f"Launching {fresh} instance(s).")
            if self._live.green is None:
                async with self._in_time("the new fleet was not healthy"):
                    await self._green.start({new.name: step.instances})
                self._stand_by()
            else:
                await self._grow(self._green, new.name, step.instances)
            await self._activate(step)
            left = math.ceil(round(old.count * (1 - step.share), 9))
            await self._tell("Deleting", f"Terminating {self._live.fleet.size(old.name) - left} instance(s).")
            await self._live.fleet.resize(old.name, left)
            self._remaining = {old.name: left}

    def _stand_by(self) -> None:
        """Let the new fleet be seen, without traffic."""
        self._live.green = side_of(self._green, by_config=True)
        self._live.side.by_config = True

    async def _activate(self, step: Step) -> None:
        await self._look()
        part = "full" if step.share >= 1 else "canary" if self._policy.kind == CANARY else "partial"
        self._active = self._spread(step)
        await self._tell("ActivatingTraffic", f"Activating traffic on {part} capacity of {step.instances} instance(s).")
        self._live.share = step.share
        wait = (
            "TerminationWaitInSeconds" if step.share >= 1 and self._policy.kind != ROLLING else "WaitIntervalInSeconds"
        )
        await self._tell(
            "Baking",
            f"Baking for {step.bake} seconds ({wait}) with traffic enabled on {part} capacity of {step.instances} "
            "instance(s).",
        )
        await self._bake(step.bake)

    def _spread(self, step: Step) -> dict[str, int]:
        production = self._green.deployment.production
        return {variant.name: math.ceil(round(step.share * variant.desired_count, 9)) for variant in production}

    async def _bake(self, seconds: float) -> None:
        """Wait, and look at the alarms until the end."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._hosting.scaled(seconds)
        every = max(_SHORTEST_POLL, self._hosting.scaled(self._hosting.timing.alarms))
        while (left := end - loop.time()) > 0:
            if loop.time() > self._deadline:
                raise _Abort(self._timed_out("baking was not over"))
            await asyncio.sleep(min(every, left))
            await self._look(patient=True)
        await self._look()

    async def _look(self, *, patient: bool = False) -> None:
        """Abort when an alarm fires, is gone, or (unless `patient`) cannot be read: what is unknown never passes."""
        try:
            states = await self._alarms.states(self._policy.alarms)
        except AlarmsUnreadable as error:
            if patient:
                return
            raise _Abort(f"The alarms in the AutoRollbackConfiguration could not be read: {error}") from error
        gone = [name for name in self._policy.alarms if name not in states]
        if gone:
            raise _Abort(f"Alarms in the AutoRollbackConfiguration do not exist any more: {', '.join(gone)}.")
        firing = [name for name in self._policy.alarms if states[name] == "ALARM"]
        if firing:
            raise _Abort(
                "One or more alarms in the AutoRollbackConfiguration are in ALARM state: "
                f"{', '.join(firing)}. The deployment to {self._green.deployment.config} was rolled back."
            )

    async def _grow(self, fleet: Fleet, variant: str, count: int) -> None:
        try:
            async with self._in_time("a batch of the new fleet was not healthy"):
                await fleet.resize(variant, count)
        except DeploymentFailed as error:
            raise _Abort(str(error)) from error

    @asynccontextmanager
    async def _in_time(self, what: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(self._deadline):
                yield
        except TimeoutError as error:
            raise DeploymentFailed(self._timed_out(what)) from error

    def _timed_out(self, what: str) -> str:
        return f"The deployment exceeded MaximumExecutionTimeoutInSeconds ({self._policy.limit} s): {what}."

    async def _back(self, reason: str) -> None:
        """Give all traffic to the old fleet again, which first grows to what it was."""
        rolling = self._policy.kind == ROLLING
        if not rolling:
            self._live.share = 0.0
        await self._reports.rolling_back(reason)
        if rolling:
            await self._roll_back(reason)
        self._live.share, self._live.green = 0.0, None
        await self._green.drain()

    async def _roll_back(self, reason: str) -> None:
        (new,), (old,) = self._green.deployment.production, self._live.fleet.deployment.production
        blue = self._live.fleet
        batch = self._policy.rollback.instances(old.count) if self._policy.rollback else old.count
        while (size := blue.size(old.name)) < old.count:
            wanted = min(old.count, size + batch)
            await self._tell("Updating", f"Launching {wanted - size} instance(s).")
            try:
                await blue.resize(old.name, wanted)
            except DeploymentFailed as error:
                self._remaining = {old.name: size}
                raise RollbackFailed(f"{reason} The rollback failed as well: {error}") from error
            self._remaining = {old.name: wanted}
            self._live.share = min(self._live.share, 1 - wanted / old.count)
            left = math.ceil(round(new.desired_count * self._live.share, 9))
            if left < self._green.size(new.name) and self._live.share > 0:
                await self._green.resize(new.name, left)
            self._active = {new.name: left}

    async def _tell(self, status: str, message: str) -> None:
        now = round(self._hosting.platform.clock.time(), 3)
        await self._reports.progress(Progress(status, message, now, dict(self._active), dict(self._remaining)))
