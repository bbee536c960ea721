"""How does an endpoint get from one state to the next?

An endpoint's document says what it should become (its status, and the `Pending` deployment); a task for each endpoint
makes it so, and writes down what came of it. After a restart the same task starts from the same document. Traffic moves
before the document says so: a reader who sees `InService` sees it where it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from localcloud.sagemaker import guardrails
from localcloud.sagemaker.account import Account
from localcloud.sagemaker.alarms import Alarms
from localcloud.sagemaker.deployment import Deployment, Variant, from_document
from localcloud.sagemaker.errors import shortened
from localcloud.sagemaker.events import Events
from localcloud.sagemaker.fleet import DeploymentFailed, Fleet, Hosting
from localcloud.sagemaker.guardrails import Policy
from localcloud.sagemaker.lineage_told import Tracking
from localcloud.sagemaker.routing import Live, Routes, side_of
from localcloud.sagemaker.shifting import Reports, RollbackFailed, RolledBack, Shift
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.summaries import Progress
from localcloud.server import background

ENDPOINT = "endpoint"

_TAKEN_UP = {"Creating", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed", "Deleting"}
_log = logging.getLogger(__name__)


class Lifecycle:
    """Moves endpoints along, and holds what is live.

    A guarded deployment that a restart interrupted begins again from the old fleet; a rollback is then complete.
    """

    def __init__(
        self, store: Store, account: Account, hosting: Hosting, *, alarms: Alarms, events: Events, lineage: Tracking
    ) -> None:
        self._store = store
        self._account = account
        self._hosting = hosting
        self._alarms = alarms
        self._events = events
        self._lineage = lineage
        self._live: dict[str, Live] = {}
        self._progress: dict[str, Progress] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._draining: set[asyncio.Task[None]] = set()

    def live(self, name: str) -> Live | None:
        """The endpoint as it takes requests now; None when it takes none."""
        return self._live.get(name)

    def progress(self, name: str) -> Progress | None:
        """How far the endpoint's deployment is; None when there is none, or nothing is known yet."""
        return self._progress.get(name)

    def advance(self, name: str) -> None:
        """Begin what the endpoint's document asks for, after what is being done already.

        One that is to be deleted takes no request from this moment on.
        """
        before = self._tasks.get(name)
        endpoint = self._store.get(ENDPOINT, name)
        if endpoint is not None and endpoint["EndpointStatus"] == "Deleting":
            work = self._delete(name, before, self._live.pop(name, None))
        else:
            work = self._advance(name, before)
        task = background.begin(work, f"endpoint {name}")
        self._tasks[name] = task
        task.add_done_callback(lambda done: self._tasks.pop(name) if self._tasks.get(name) is done else None)

    async def recover(self) -> None:
        """Take up every endpoint after a restart.

        One that served is `SystemUpdating` (AWS's word for maintenance that changes nothing a customer set) until its
        processes are healthy again.
        """
        async with self._store.change() as change:
            for endpoint in self._store.all(ENDPOINT):
                if endpoint["EndpointStatus"] == "InService":
                    name = endpoint["EndpointName"]
                    change.put(ENDPOINT, name, {**endpoint, "EndpointStatus": "SystemUpdating"})
        for endpoint in self._store.all(ENDPOINT):
            if endpoint["EndpointStatus"] in _TAKEN_UP:
                self.advance(endpoint["EndpointName"])

    async def stop(self) -> None:
        """End every process; the documents stay as they are, for `recover`."""
        tasks = [*self._tasks.values(), *self._draining]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._live.clear()
        await self._hosting.stop()

    async def _advance(self, name: str, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        endpoint = self._store.get(ENDPOINT, name)
        if endpoint is None:
            return
        status = endpoint["EndpointStatus"]
        await self._events.state(endpoint)
        try:
            await self._settle(name, *await self._make_so(name, endpoint))
        except (DeploymentFailed, RolledBack) as error:
            _log.warning("endpoint %s: %s failed: %s", name, status, error)
            await self._failed(name, str(error))
        except RollbackFailed as error:
            _log.warning("endpoint %s: %s failed: %s", name, status, error)
            await self._settle(name, "UpdateRollbackFailed", str(error))
        except Exception as error:
            _log.exception("endpoint %s: %s failed", name, status)
            await self._failed(name, f"The local SageMaker failed: {type(error).__name__}: {error}")

    async def _make_so(self, name: str, endpoint: Document) -> tuple[str, str | None]:
        """Do what the document asks for; answers the status and the FailureReason that come of it."""
        status = endpoint["EndpointStatus"]
        if endpoint["Serving"] and name not in self._live:
            await self._bring_up(name, from_document(endpoint["Serving"]))
            if mixed := endpoint.get("Mixed"):
                await self._bring_up_beside(name, from_document(mixed["Deployment"]), mixed["Share"])
        if status == "UpdateRollbackFailed":
            return status, endpoint.get("FailureReason")
        if status == "SystemUpdating":  # a restart changes nothing, not even what was said of an earlier update
            return "InService", endpoint.get("FailureReason")
        if status == "RollingBack":  # before a restart, which has put everything back
            return "InService", endpoint.get("RollbackReason")
        if endpoint["Pending"]:
            deployment = from_document(endpoint["Pending"])
            if endpoint.get("Guard") and name in self._live:
                before = from_document(endpoint["Serving"])
                policy = guardrails.applied(guardrails.read(endpoint["Guard"]), before, deployment)
                await self._shift(name, deployment, policy)
            else:
                await self._bring_up(name, deployment)
        elif status == "Updating":
            await self._reweigh(name)
        return "InService", None

    async def _bring_up(self, name: str, deployment: Deployment) -> None:
        """Start a fleet, move the traffic to it, and let the one before it finish its requests."""
        fleet = Fleet(name, deployment, self._hosting)
        await fleet.start()
        before = self._live.get(name)
        self._live[name] = Live(side_of(fleet))
        for side in (before.side, before.green) if before is not None else ():
            if side is not None:
                self._drain(side.fleet)

    async def _bring_up_beside(self, name: str, deployment: Deployment, share: float) -> None:
        """Start the second fleet of an endpoint whose rollback failed."""
        fleet = Fleet(name, deployment, self._hosting)
        await fleet.start()
        live = self._live[name]
        live.green, live.share = side_of(fleet, by_config=True), share

    async def _shift(self, name: str, deployment: Deployment, policy: Policy) -> None:
        """Move the endpoint under guardrails."""

        async def progress(stage: Progress) -> None:
            self._progress[name] = stage
            if endpoint := self._store.get(ENDPOINT, name):
                await self._events.deployment(endpoint, stage)

        async def rolling_back(reason: str) -> None:
            await self._save(
                name, lambda endpoint: endpoint.update(EndpointStatus="RollingBack", RollbackReason=reason)
            )
            if endpoint := self._store.get(ENDPOINT, name):
                await self._events.state(endpoint)

        shift = Shift(
            name,
            self._live[name],
            deployment,
            policy=policy,
            hosting=self._hosting,
            alarms=self._alarms,
            reports=Reports(progress, rolling_back),
        )
        self._drain(await shift.run())

    def _drain(self, fleet: Fleet) -> None:
        task = background.begin(fleet.drain(), "drain of a replaced fleet")
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    async def _reweigh(self, name: str) -> None:
        """Apply the desired counts and weights to the fleet that serves."""
        endpoint = self._store.get(ENDPOINT, name)
        if endpoint is None:
            return
        live = self._live[name]
        wanted = from_document(endpoint["Serving"])
        for variant in wanted.variants:
            current = live.fleet.deployment.variant(variant.name)
            if current is not None and variant.desired_count != current.count:
                await live.fleet.resize(variant.name, variant.desired_count)
                self._apply(live, replace(current, count=variant.desired_count, desired_count=variant.desired_count))
        for variant in wanted.variants:
            current = live.fleet.deployment.variant(variant.name)
            if current is not None:
                weight = variant.desired_weight
                self._apply(live, replace(current, weight=weight, desired_weight=weight))
        live.side.routes = Routes(live.fleet.deployment.variants)

    def _apply(self, live: Live, changed: Variant) -> None:
        live.fleet.deployment = live.fleet.deployment.map(
            lambda variant: changed if variant.name == changed.name else variant
        )

    async def _failed(self, name: str, reason: str) -> None:
        """Note a failure: an endpoint that serves goes on as it was, another one is Failed."""
        live = self._live.get(name)
        await self._settle(name, "InService" if live else "Failed", reason)

    async def _settle(self, name: str, status: str, reason: str | None = None) -> None:
        def change(endpoint: Document) -> None:
            live = self._live.get(name)
            endpoint.update(EndpointStatus=status, LastModifiedTime=self._account.now())
            if live is not None:
                endpoint.update(Serving=live.fleet.deployment.to_document(), Pending=None)
            for member in ("FailureReason", "Guard", "RollbackReason", "Mixed"):
                endpoint.pop(member, None)
            if live is not None and live.green is not None:
                endpoint["Serving"] = _as_it_is(live.fleet).to_document()
                endpoint["Mixed"] = {"Deployment": _as_it_is(live.green.fleet).to_document(), "Share": live.share}
            if reason is not None:
                endpoint["FailureReason"] = shortened(reason)

        await self._track(name)
        await self._save(name, change)
        self._progress.pop(name, None)
        if endpoint := self._store.get(ENDPOINT, name):
            await self._events.state(endpoint)

    async def _track(self, name: str) -> None:
        """Have the lineage know what an endpoint serves, before anybody is told that it does."""
        live, endpoint = self._live.get(name), self._store.get(ENDPOINT, name)
        if live is not None and endpoint is not None:
            with background.log_errors(f"endpoint {name}: its lineage"):
                await self._lineage.endpoint(endpoint, live.fleet.deployment)

    async def _delete(self, name: str, before: asyncio.Task[None] | None, live: Live | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        for side in (live.side, live.green) if live is not None else ():
            if side is not None:
                with background.log_errors(f"endpoint {name}: the end of its processes"):
                    await side.fleet.drain()
        await self._hosting.logs.flush()  # who deletes the log group next has it gone for good
        await self._save(name, None)

    async def _save(self, name: str, change: Callable[[Document], None] | None) -> None:
        await self._store.persist(ENDPOINT, name, change, self._hosting.timing.retry_save)


def _as_it_is(fleet: Fleet) -> Deployment:
    """A fleet's deployment with the instances that there are, which are all that is wanted of it now."""

    def count(variant: Variant) -> Variant:
        size = fleet.size(variant.name)
        return replace(variant, count=size, desired_count=size)

    return fleet.deployment.map(count)
