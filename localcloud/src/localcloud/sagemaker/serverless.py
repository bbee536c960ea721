"""How does a serverless variant behave: started by a request, idle, throttled?

Source: "Deploy models with Amazon SageMaker Serverless Inference" in the developer guide. Here one process takes all
concurrent requests of a variant (on AWS each takes one at a time), so only the first of them waits for a cold start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from localcloud.sagemaker.errors import ApiError, invalid
from localcloud.sagemaker.store import Document

Work = Callable[[], Coroutine[Any, Any, Any]]

_STEP = 1024
_OF_INSTANCES = (
    "InstanceType",
    "InitialInstanceCount",
    "VolumeSizeInGB",
    "ModelDataDownloadTimeoutInSeconds",
    "ContainerStartupHealthCheckTimeoutInSeconds",
    "RoutingConfig",
)


def check_variant(variant: Document) -> None:
    """Refuse a variant's ServerlessConfig that AWS documents as impossible.

    Raises:
        ApiError: A ValidationException that names the member.
    """
    config, name = variant["ServerlessConfig"], variant["VariantName"]
    given = [member for member in _OF_INSTANCES if member in variant]
    if given:
        raise invalid(f"Variant {name!r} has a ServerlessConfig, so it must not have {', '.join(given)}.")
    if config["MemorySizeInMB"] % _STEP:
        raise invalid(
            f"MemorySizeInMB of variant {name!r} is {config['MemorySizeInMB']}; valid values are in 1 GB increments: "
            "1024, 2048, 3072, 4096, 5120 or 6144."
        )
    check_concurrency(name, config)


def check_concurrency(variant: str, config: Mapping[str, int]) -> None:
    """Refuse more provisioned concurrency than there is concurrency.

    Raises:
        ApiError: A ValidationException.
    """
    provisioned = config.get("ProvisionedConcurrency", 0)
    if provisioned > config["MaxConcurrency"]:
        raise invalid(
            f"ProvisionedConcurrency ({provisioned}) of variant {variant!r} should be less than or equal to "
            f"MaxConcurrency ({config['MaxConcurrency']})."
        )


def check_config(config: Document, models: list[Document]) -> None:
    """Refuse what AWS documents as not supported together with serverless variants.

    Raises:
        ApiError: A ValidationException that names the feature.
    """
    found = []
    if len(config["ProductionVariants"]) > 1:
        found.append("multiple production variants")
    if config.get("ShadowProductionVariants"):
        found.append("shadow variants")
    if config.get("DataCaptureConfig", {}).get("EnableCapture", "DataCaptureConfig" in config):
        found.append("data capture")
    if "VpcConfig" in config or any("VpcConfig" in model for model in models):
        found.append("VPC configuration")
    if config.get("EnableNetworkIsolation") or any(model.get("EnableNetworkIsolation") for model in models):
        found.append("network isolation")
    if found:
        raise invalid(f"Serverless Inference does not support: {', '.join(found)}.")


class OnDemand:
    """The process of one serverless variant and the requests that it has.

    Args:
        wake: Starts the process if there is none; answers when it is healthy.
        sleep: Ends it.
        idle: Seconds without a request after which it ends, unless concurrency is provisioned.
    """

    def __init__(self, wake: Work, sleep: Work, idle: float) -> None:
        self._wake = wake
        self._sleep = sleep
        self._idle = idle
        self._turn = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._work: set[asyncio.Task[Any]] = set()
        self._awake = False
        self._ended = False
        self.requests = 0

    def enter(self, config: Mapping[str, int]) -> None:
        """Take a request in.

        Raises:
            ApiError: A ThrottlingException: there are MaxConcurrency requests already.
        """
        if self.requests >= config["MaxConcurrency"]:
            raise ApiError("ThrottlingException", "Rate exceeded", 429)
        self.requests += 1
        if self._timer is not None:
            self._timer.cancel()

    def leave(self, config: Mapping[str, int]) -> None:
        """Let a request go; the last one starts the time after which the process ends."""
        self.requests -= 1
        if not self.requests:
            self.rest(config)

    def rest(self, config: Mapping[str, int]) -> None:
        """Begin to wait for the process to have been idle for long enough."""
        if config.get("ProvisionedConcurrency") or self._ended:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._idle, self._begin, self._down)

    def reconsider(self, config: Mapping[str, int]) -> None:
        """Follow a changed configuration."""
        if config.get("ProvisionedConcurrency"):
            if self._timer is not None:
                self._timer.cancel()
            self._begin(self._up)
        elif not self.requests:
            self.rest(config)

    async def up(self, timeout: float) -> float:
        """Have a process; answers the seconds of the cold start, 0 when there was none.

        Raises:
            ApiError: A ModelNotReadyException: it is not up in time; it goes on starting.
        """
        if self._awake:
            return 0.0
        begun = time.perf_counter()
        try:
            await asyncio.wait_for(asyncio.shield(self._begin(self._up)), timeout)
        except TimeoutError as error:
            raise ApiError(
                "ModelNotReadyException", "The variant's resources are still being provisioned.", 429
            ) from error
        return time.perf_counter() - begun

    def end(self) -> None:
        """Do nothing more by itself: the fleet ends the process."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self, work: Work) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work())
        self._work.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._work.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits for it has it; nobody may

    async def _up(self) -> None:
        async with self._turn:
            if not self._awake:
                await self._wake()
                self._awake = True

    async def _down(self) -> None:
        async with self._turn:
            if self._awake and not self.requests and not self._ended:
                self._awake = False
                await self._sleep()
