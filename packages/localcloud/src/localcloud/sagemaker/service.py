"""The local SageMaker as one service: its parts, put together, and which of them answers what."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from localcloud.sagemaker import processing_status, training_status
from localcloud.sagemaker.account import Account
from localcloud.sagemaker.alarms import Alarms
from localcloud.sagemaker.archive import Archives
from localcloud.sagemaker.capture import Capture
from localcloud.sagemaker.configs import Configs
from localcloud.sagemaker.deployment import from_document
from localcloud.sagemaker.endpoints import Endpoints
from localcloud.sagemaker.events import Events
from localcloud.sagemaker.exchanges import Exchanges
from localcloud.sagemaker.execution_runs import ExecutionRuns
from localcloud.sagemaker.executions import Executions
from localcloud.sagemaker.experiments import Experiments
from localcloud.sagemaker.fleet import Hosting
from localcloud.sagemaker.images import Images, remove_containers
from localcloud.sagemaker.job_news import JobFacts, JobNews
from localcloud.sagemaker.job_runs import Machine
from localcloud.sagemaker.job_watch import JobWatch
from localcloud.sagemaker.lifecycle import ENDPOINT, Lifecycle
from localcloud.sagemaker.lineage_associations import LineageAssociations
from localcloud.sagemaker.lineage_entities import LineageEntities
from localcloud.sagemaker.lineage_groups import LineageGroups
from localcloud.sagemaker.lineage_query import LineageQuery
from localcloud.sagemaker.lineage_told import Tracking
from localcloud.sagemaker.logs import ContainerLogs
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.pipelines import Pipelines
from localcloud.sagemaker.processes import SERVER_MARK, kill_marked
from localcloud.sagemaker.processing_jobs import ProcessingJobs
from localcloud.sagemaker.processing_runs import ProcessingRuns
from localcloud.sagemaker.registry import Registry
from localcloud.sagemaker.runtime import Runtime, is_runtime
from localcloud.sagemaker.search import Search
from localcloud.sagemaker.step_run import Works
from localcloud.sagemaker.store import Store
from localcloud.sagemaker.tags import Tags
from localcloud.sagemaker.timing import Timing
from localcloud.sagemaker.training_jobs import TrainingJobs
from localcloud.sagemaker.training_runs import TrainingRuns
from localcloud.sagemaker.trial_components import TrialComponents
from localcloud.sagemaker.wire import ControlPlane
from localcloud.server.platform import Answer, Platform

_log = logging.getLogger(__name__)
_STEP_THREADS = 64  # made as they are needed; an execution has 50 steps at most


class SageMaker:
    """The `sagemaker` service of the local cloud: control plane and runtime.

    Args:
        platform: The cloud that it is part of.
        timing: Durations; tests shorten them.

    Attributes:
        jobs: Tells of each job when it begins and when it is over.
    """

    def __init__(self, platform: Platform, timing: Timing | None = None) -> None:
        timing = timing or Timing()
        self._platform = platform
        self._folder = platform.state / "sagemaker"
        self._run = platform.run / "sagemaker"
        clients = _Clients(platform)
        account = Account(platform.account, platform.region, platform.clock)
        self._store = Store(self._folder / "state.sqlite3")
        self._archives = Archives(self._folder / "archives", lambda: clients.get("s3"))
        self._logs = ContainerLogs(lambda: clients.get("logs"), platform.clock, timing.logs)
        self._capture = Capture(self._folder / "capture", lambda: clients.get("s3"), timing.capture)
        images = Images(platform, lambda: clients.get("ecr"), self._run / "docker")
        hosting = Hosting(platform, timing, self._archives, images, self._logs, self._run / "models")
        self._tracking = Tracking(self._store, account)
        self._registry = registry = Registry(self._store, account, self._tracking)
        models = Models(self._store, account, registry, self._archives, images=images, roles=platform.roles)
        configs = Configs(self._store, account, models)
        alarms = Alarms(lambda: clients.get("cloudwatch"))
        events = Events(platform.deliveries)
        self._lifecycle = Lifecycle(
            *(self._store, account, hosting), alarms=alarms, events=events, lineage=self._tracking
        )
        self.jobs = JobNews()
        self.jobs.hear(self._tracking.job)
        machine = Machine(self._store, account, hosting, self.jobs, self._run / "jobs")
        self._training, self._processing = TrainingRuns(machine, events), ProcessingRuns(machine, events)
        training = TrainingJobs(self._store, account, platform.roles, images, self._training)
        processing = ProcessingJobs(self._store, account, platform.roles, images, self._processing)
        endpoints = Endpoints(self._store, account, configs, models, lifecycle=self._lifecycle, alarms=alarms)
        self._groups = LineageGroups(self._store, account)
        of_lineage = (LineageEntities, LineageAssociations, LineageQuery, Experiments, TrialComponents, Search)
        lineage = (self._groups, *(part(self._store, account) for part in of_lineage))
        pipelines = Pipelines(
            self._store, account, platform.roles, lambda: clients.get("s3"), lambda: self._control.model
        )
        self._executions = ExecutionRuns(self._works(account, events, hosting), pipelines)
        of_jobs = (training, processing, pipelines, Executions(self._store, account, pipelines, self._executions))
        parts = (registry, models, configs, endpoints, *of_jobs, *lineage, Tags(self._store, account))
        self._control = ControlPlane({name: call for part in parts for name, call in part.operations().items()})
        exchanges = Exchanges(account, self._capture, platform.metrics, platform.faults, timing.invocation)
        self._runtime = Runtime(account, self._lifecycle.live, exchanges)

    @property
    def model(self) -> Any:
        """Botocore's model of the served operations of the control plane."""
        return self._control.model

    async def start(self) -> None:
        """Open the state, end what a killed server left behind, and bring every endpoint back.

        Raises:
            StateUnwritable: The state folder cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._run, ignore_errors=True)
        (self._run / "models").mkdir(parents=True)
        state = str(self._platform.state.resolve())
        orphans = kill_marked(SERVER_MARK, state)
        if orphans:
            _log.warning("ended %d processes that a killed server left behind: %s", len(orphans), orphans)
        await remove_containers(state)
        await self._store.open()
        await self._groups.start()
        self._archives.keep_only(self._deployed_archives())
        self._logs.start()
        self._capture.start()
        await self._training.recover()
        await self._processing.recover()
        await self._tracking.recover(self._jobs())
        await self._executions.recover()
        await self._lifecycle.recover()

    async def stop(self) -> None:
        """End every process, then hand over captured data and logs, then close the state."""
        await self._runtime.stop()
        await self._executions.stop()
        await self._training.stop()
        await self._processing.stop()
        await self._lifecycle.stop()
        await self._capture.stop()
        await self._logs.stop()
        await self._store.close()

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Answer:
        """Answer a request of the control plane (`POST /` with X-Amz-Target) or of the runtime (`/endpoints/...`)."""
        del method, query
        if is_runtime(path):
            return await self._runtime.handle(path, headers, body)
        return await self._control.handle(headers.get("x-amz-target", ""), body)

    def policy_of(self, resource_arn: str) -> str:
        """The policy of a model package or its group, as JSON; empty if it has none."""
        return self._registry.policy_of(resource_arn)

    def _jobs(self) -> Iterator[JobFacts]:
        for status in (training_status, processing_status):
            yield from map(status.facts, self._store.all(status.JOB))

    def _works(self, account: Account, events: Events, hosting: Hosting) -> Works:
        roles, watch = self._platform.roles, JobWatch(self._store, self.jobs)
        threads = ThreadPoolExecutor(_STEP_THREADS, "pipeline-step")
        return Works(self._store, account, roles, events, watch, hosting.scaled, hosting.timing.retry_save, threads)

    def _deployed_archives(self) -> set[str]:
        deployments = [
            from_document(document)
            for endpoint in self._store.all(ENDPOINT)
            for document in (endpoint["Serving"], endpoint["Pending"], endpoint.get("Mixed", {}).get("Deployment"))
            if document
        ]
        return {variant.archive for deployment in deployments for variant in deployment.variants if variant.archive}


class _Clients:
    """boto3 clients of this cloud, made once each, because making one takes a tenth of a second."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._made: dict[str, Any] = {}
        self._lock = threading.Lock()

    def get(self, service: str) -> Any:
        with self._lock:
            if service not in self._made:
                self._made[service] = self._platform.aws(service)
            return self._made[service]
