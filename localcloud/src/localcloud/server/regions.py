"""Services of ours in every region that is used: each region has services of its own, with a state of its own.

The cloud's own region is always there. Another is made when it is first asked for, and is there after each start from
then on; its services keep their state below `regions/` of the state folder. CloudWatch's dashboards are of no region:
the cloud's own region has them.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from ministack.core import iam_actions, router

from localcloud.server import authorization, background
from localcloud.server.platform import Answer, Datum, MetricSink, Service

FOLDER = "regions"
"""Folder of the state, and of what need not survive a restart, that has one for each other region."""

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_log = logging.getLogger("localcloud")

Services = Mapping[str, Service]
"""Services by the router's name; one that puts metrics comes after the one that takes them."""

Handle = Callable[[str, str, dict[str, str], bytes, dict[str, list[str]]], Awaitable[Answer]]


class Regions:
    """The services of all regions.

    Args:
        home: The cloud's own region.
        state: The state folder.
        create: Makes the services of a region.
        sink: The one of them that takes metrics.
    """

    def __init__(self, home: str, state: Path, create: Callable[[str], Services], sink: str) -> None:
        self._home = home
        self._folder = state / FOLDER
        self._create = create
        self._sink = sink
        self._running: dict[str, Services] = {}
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Start the services of each region that was used before."""
        used = sorted(path.name for path in self._folder.iterdir()) if self._folder.is_dir() else []
        for region in (self._home, *used):
            await self._of(region)

    async def stop(self) -> None:
        """Stop all of them."""
        for services in reversed(self._running.values()):
            await _stop(list(services.values()))

    def handler(self, name: str) -> Handle:
        """Answers requests to a service, each in its region."""

        async def handle(
            method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
        ) -> Answer:
            region = router.extract_region(headers, query)
            if not _REGION.fullmatch(region):
                _, answered, refusal = iam_actions.access_denied_response(
                    *(name, "", "", str(uuid.uuid4())),
                    error_code="SignatureDoesNotMatch",
                    message=f"Credential should be scoped to a valid region, not {region!r}.",
                    headers=headers,
                )
                return 403, answered, refusal
            if region != self._home and _is_of_no_region(path, headers, body, query):
                region = self._home
            services = await self._of(region)
            return await services[name].handle(method, path, headers, body, query)

        return handle

    def put(self, region: str, namespace: str, data: Sequence[Datum]) -> None:
        """Record observations in a region; call it on the event loop."""
        services = self._running.get(region)
        if services is None:
            background.begin(self._put_later(region, namespace, data), f"metrics of {region}")
            return
        sink = services[self._sink]
        if isinstance(sink, MetricSink):
            sink.put(namespace, data)

    async def _put_later(self, region: str, namespace: str, data: Sequence[Datum]) -> None:
        await self._of(region)
        self.put(region, namespace, data)

    async def _of(self, region: str) -> Services:
        if region not in self._running:
            async with self._starting:
                if region not in self._running:
                    services = self._create(region)
                    for number, service in enumerate(services.values(), 1):
                        try:
                            await service.start()
                        except BaseException:
                            await _stop(list(services.values())[:number])
                            raise
                    self._running[region] = services
        return self._running[region]


async def _stop(services: Sequence[Service]) -> None:
    for service in reversed(services):
        try:
            await service.stop()
        except Exception:
            _log.exception("a service did not stop cleanly")


def _is_of_no_region(path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, list[str]]) -> bool:
    request = authorization.read(path, headers, body, query)
    if request is None:
        return False
    of_dashboards = request.action.endswith(("Dashboard", "Dashboards"))
    return of_dashboards or ":dashboard/" in str(request.members.get("ResourceARN", ""))
