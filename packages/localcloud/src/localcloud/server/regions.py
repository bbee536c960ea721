"""Services of ours in every region of every account: each has services of its own, with a state of its own.

The own region of the cloud's own account is always there, with its state in the state folder itself. Another is made
when it is first asked for, and is there after each start from then on, with its state below `regions/` of the account's
folder. CloudWatch's dashboards are of no region: in each account, the cloud's own region has them.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ministack.core import iam_actions, router
from ministack.core.responses import get_account_id

from localcloud.server import background, credentials, requests
from localcloud.server.platform import Answer, Datum, MetricSink, Service

FOLDER = "regions"
"""Folder of an account, and of what need not survive a restart, that has one for each region beside the first."""

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_log = logging.getLogger("localcloud")

Services = Mapping[str, Service]
"""Services by the router's name; one that puts metrics comes after the one that takes them."""

Handle = Callable[[str, str, dict[str, str], bytes, dict[str, list[str]]], Awaitable[Answer]]


class Place(NamedTuple):
    """A region of an account.

    Attributes:
        account: 12 digits.
        region: E.g. `us-east-1`.
    """

    account: str
    region: str


class Regions:
    """The services of all regions of all accounts.

    Args:
        home: The own region of the cloud's own account.
        state: The state folder.
        create: Makes the services of a place, with their state in a folder that `folder` names.
        sink: The one of them that takes metrics.
    """

    def __init__(self, home: Place, state: Path, create: Callable[[Place], Services], sink: str) -> None:
        self._home = home
        self._state = state
        self._create = create
        self._sink = sink
        self._running: dict[tuple[str, str], Services] = {}
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Start the services of each place that was used before."""
        for place in (self._home, *self._used()):
            await self._of(place)

    def folder(self, top: Path, place: Place) -> Path:
        """Where a place has its own below a folder of the cloud, such as the state folder."""
        if place == self._home:
            return top
        account = None if place.account == self._home.account else place.account
        return credentials.folder_of(top, account) / FOLDER / place.region

    def running(self, account: str, region: str) -> Services | None:
        """The services of a place that was used since the start or before it; None of any other."""
        return self._running.get((account, region))

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
            if region != self._home.region and _is_of_no_region(path, headers, body, query):
                region = self._home.region
            services = await self._of(Place(get_account_id(), region))
            return await services[name].handle(method, path, headers, body, query)

        return handle

    def put(self, account: str, region: str, namespace: str, data: Sequence[Datum]) -> None:
        """Record observations in a region of an account; call it on the event loop."""
        services = self._running.get((account, region))
        if services is None:
            background.begin(self._put_later(Place(account, region), namespace, data), f"metrics of {account} {region}")
            return
        sink = services[self._sink]
        if isinstance(sink, MetricSink):
            sink.put(namespace, data)

    async def _put_later(self, place: Place, namespace: str, data: Sequence[Datum]) -> None:
        await self._of(place)
        self.put(*place, namespace, data)

    async def _of(self, place: Place) -> Services:
        if place not in self._running:
            async with self._starting:
                if place not in self._running:
                    services = self._create(place)
                    for number, service in enumerate(services.values(), 1):
                        try:
                            await service.start()
                        except BaseException:
                            await _stop(list(services.values())[:number])
                            raise
                    self._running[place] = services
        return self._running[place]

    def _used(self) -> Iterator[Place]:
        own = self._home.account
        for account in (own, *(other for other in credentials.accounts(self._state) if other != own)):
            folder = credentials.folder_of(self._state, None if account == own else account) / FOLDER
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                yield Place(account, path.name)


async def _stop(services: Sequence[Service]) -> None:
    for service in reversed(services):
        try:
            await service.stop()
        except Exception:
            _log.exception("a service did not stop cleanly")


def _is_of_no_region(path: str, headers: Mapping[str, str], body: bytes, query: dict[str, list[str]]) -> bool:
    try:
        request = requests.of("monitoring", requests.Sent("POST", path, headers, body, query))
    except requests.BadRequest:
        return False
    of_dashboards = request.action.endswith(("Dashboard", "Dashboards"))
    return of_dashboards or ":dashboard/" in str(request.members.get("ResourceARN", ""))
