"""Which instances serve a deployment, and which of them takes the next request?"""

from __future__ import annotations

import asyncio
import random
import secrets
import shutil
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from localcloud.sagemaker.archive import Archives, ArchiveUnusable
from localcloud.sagemaker.deployment import Deployment, Variant
from localcloud.sagemaker.images import CONTAINER_LABEL, Image, Images, ImageUnusable, Program
from localcloud.sagemaker.instance import Instance, InstanceFailed, InstanceSetup
from localcloud.sagemaker.logs import ContainerLogs, group_of
from localcloud.sagemaker.processes import environment
from localcloud.sagemaker.timing import Timing
from localcloud.server.platform import Platform

_T = TypeVar("_T")
_DRAIN_POLL = 0.02


class DeploymentFailed(Exception):
    """A deployment could not be brought up; the text is the endpoint's FailureReason."""


@dataclass(frozen=True)
class Hosting:
    """What every fleet of this server shares."""

    platform: Platform
    timing: Timing
    archives: Archives
    images: Images
    logs: ContainerLogs
    models: Path
    running: set[Instance] = field(default_factory=set)

    def scaled(self, seconds: float) -> float:
        """A documented wait in this cloud's time, see `Platform.time_scale`."""
        return seconds / self.platform.time_scale

    async def stop(self) -> None:
        """End what fleets did not end themselves, because they were interrupted."""
        await asyncio.gather(*(instance.stop(self.timing.shutdown) for instance in self.running))


class Fleet:
    """The running instances of one deployment of an endpoint.

    Attributes:
        deployment: With what was found out while it was brought up: archive digests and resolved images.
    """

    def __init__(self, endpoint: str, deployment: Deployment, hosting: Hosting) -> None:
        self._endpoint = endpoint
        self.deployment = deployment
        self._hosting = hosting
        self._images: dict[str, Image] = {}
        self._instances: dict[str, list[Instance]] = {variant.name: [] for variant in deployment.variants}

    async def start(self, counts: Mapping[str, int] | None = None) -> None:
        """Bring up every instance and wait until all are healthy.

        Args:
            counts: Instances by variant, if not as many as the deployment desires.

        Raises:
            DeploymentFailed: One is not; all were ended again.
        """
        try:
            prepared = await _all(self._prepare(variant) for variant in self.deployment.variants)
            self.deployment = replace(self.deployment, variants=tuple(prepared))
            await _all(
                self._grow(variant, (counts or {}).get(variant.name, variant.desired_count)) for variant in prepared
            )
        except BaseException:
            await self.stop(self._hosting.timing.shutdown)
            raise
        self.deployment = self.deployment.map(lambda variant: replace(variant, count=variant.desired_count))

    async def resize(self, name: str, count: int) -> None:
        """Change the number of a variant's instances; surplus ones finish their requests first.

        Raises:
            DeploymentFailed: A new instance is not healthy; the variant has as many as before.
        """
        variant = self.deployment.variant(name)
        if variant is None:
            raise DeploymentFailed(f"Variant {name} is not deployed.")
        await self._grow(variant, count)
        await self._shrink(name, count)

    def instances(self, variant: str) -> list[Instance]:
        """All instances of a variant, healthy or not."""
        return self._instances[variant]

    def pick(self, variant: Variant) -> Instance | None:
        """A healthy instance of a variant by its routing strategy, or None."""
        healthy = [instance for instance in self._instances[variant.name] if instance.upstream is not None]
        if not healthy:
            return None
        if variant.routing == "LEAST_OUTSTANDING_REQUESTS":
            return min(healthy, key=lambda instance: instance.in_flight)
        return random.choice(healthy)  # noqa: S311 - a load balancer needs no secrets

    def size(self, variant: str) -> int:
        """How many instances a variant has, healthy or not."""
        return len(self._instances[variant])

    async def drain(self) -> None:
        """End every instance when its last request is answered."""
        await asyncio.gather(*(self._retire(instance) for group in self._instances.values() for instance in group))

    async def stop(self, grace: float) -> None:
        """End every instance now."""
        instances = [instance for group in self._instances.values() for instance in group]
        await asyncio.gather(*(self._discard(instance, grace) for instance in instances))

    async def _prepare(self, variant: Variant) -> Variant:
        """Resolve the image and fetch the archive; a kept archive that was deployed before is taken as it was."""
        try:
            image = self._images[variant.name] = await self._hosting.images.resolve(variant.image)
            archive = await self._fetch(variant)
        except (ImageUnusable, ArchiveUnusable) as error:
            raise DeploymentFailed(str(error)) from error
        now = self._hosting.platform.clock.time()
        return replace(variant, archive=archive, resolved_image=image.resolved, resolved_at=round(now, 3))

    async def _fetch(self, variant: Variant) -> str | None:
        archives, archive, url = self._hosting.archives, variant.archive, variant.model_data_url
        if url is None or (archive and await asyncio.to_thread(archives.has, archive)):
            return archive
        try:
            return await asyncio.wait_for(asyncio.to_thread(archives.fetch, url), variant.download_timeout)
        except TimeoutError as error:
            raise ArchiveUnusable(
                f'Failed to download model data for container "container_1" from URL: "{url}" within '
                f"{variant.download_timeout:g} s, the variant's ModelDataDownloadTimeoutInSeconds."
            ) from error

    async def _grow(self, variant: Variant, count: int) -> None:
        missing = count - len(self._instances[variant.name])
        fresh: list[Instance] = []
        try:
            for _ in range(missing):
                fresh.append(await self._launch(variant))
            await _all(instance.ready() for instance in fresh)
        except BaseException as error:
            await asyncio.gather(*(self._discard(instance, self._hosting.timing.shutdown) for instance in fresh))
            if isinstance(error, ArchiveUnusable | InstanceFailed):
                raise DeploymentFailed(str(error)) from error
            if isinstance(error, OSError):
                raise DeploymentFailed(f"The local SageMaker could not lay an instance out: {error}") from error
            raise
        self._instances[variant.name] += fresh

    async def _shrink(self, name: str, count: int) -> None:
        surplus = self._instances[name][count:]
        del self._instances[name][count:]
        await asyncio.gather(*(self._retire(instance) for instance in surplus))

    async def _launch(self, variant: Variant) -> Instance:
        identity = f"i-{secrets.token_hex(9)[:17]}"
        folder = self._hosting.models / identity
        if variant.archive and variant.model_data_url:
            await asyncio.to_thread(self._hosting.archives.unpack, variant.archive, folder, variant.model_data_url)
        else:
            folder.mkdir(parents=True)
            folder.chmod(0o755)
        image = self._images[variant.name]
        state = str(self._hosting.platform.state.resolve())

        def program(port: int) -> Program:
            wanted = {**variant.environment, "SAGEMAKER_BIND_TO_PORT": str(port)}
            variables = environment(self._hosting.platform, identity, wanted)
            return image.program(identity, folder, variables, {CONTAINER_LABEL: state})

        instance = Instance(
            InstanceSetup(
                identity,
                variant.name,
                program,
                self._hosting.logs.stream(group_of(self._endpoint), f"{variant.name}/{identity}"),
                variant.startup_timeout or self._hosting.timing.startup,
                self._hosting.timing,
            )
        )
        self._hosting.running.add(instance)
        return instance

    async def _retire(self, instance: Instance) -> None:
        while instance.in_flight:
            await asyncio.sleep(_DRAIN_POLL)
        await self._discard(instance, self._hosting.timing.stop)

    async def _discard(self, instance: Instance, grace: float) -> None:
        await instance.stop(grace)
        self._hosting.running.discard(instance)
        await asyncio.to_thread(shutil.rmtree, self._hosting.models / instance.id, ignore_errors=True)


async def _all(awaitables: Iterable[Awaitable[_T]]) -> list[_T]:
    """Wait for all; at the first error the others are cancelled, and nothing goes on unwatched."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
