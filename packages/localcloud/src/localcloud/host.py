"""Builds one local cloud and serves it until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import uvicorn
import uvloop
from botocore.exceptions import ClientError
from ministack import app as ministack_app
from ministack.core import lambda_runtime

from localcloud import cloudwatch, sagemaker
from localcloud.server import asgi, background, crossing, deliveries, gateway, mappings, repairs, state_machines
from localcloud.server.accounts import Accounts
from localcloud.server.clients import clients
from localcloud.server.configuration import Configuration
from localcloud.server.doors import Doors
from localcloud.server.durability import LOGS, Durability
from localcloud.server.faults import Faults
from localcloud.server.files import write_atomically
from localcloud.server.invocations import Invocations
from localcloud.server.messages import App, Message, Receive, Scope, Send
from localcloud.server.platform import Datum, Platform, Service, SystemClock
from localcloud.server.protocol import Protocol
from localcloud.server.regions import Place, Regions
from localcloud.server.roles import CloudRoles
from localcloud.server.shortcut import Shortcut
from localcloud.server.surroundings import STATE_MARK, Folders
from localcloud.server.used_rights import UsedRights

log = logging.getLogger("localcloud")

IDLE_WORKER_SECONDS = float(os.environ.get("LOCALCLOUD_WORKER_SECONDS", "90"))
"""A function that runs every minute stays warm, any other ends."""

_HOUSEKEEPING_SECONDS = min(30.0, IDLE_WORKER_SECONDS)
_QUEUE_METER_SECONDS = 60.0
_DRAIN_SECONDS = 3


class NotStarted(Exception):
    """The state cannot be taken up; the text says why."""


class Metering:
    """Hands observations from any thread to the metrics service of an account's region, on the loop."""

    def __init__(self) -> None:
        self.put_in: Callable[[str, str, str, list[Datum]], None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    def put(self, account: str, region: str, namespace: str, data: list[Datum]) -> None:
        """Record `data` soon."""
        if self.put_in is not None and self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.put_in, account, region, namespace, data)


class Host:
    """One local cloud."""

    def __init__(self, folders: Folders, port: int, configuration: Configuration) -> None:
        self._folders = folders
        self._port = port
        self._url = f"http://127.0.0.1:{port}"
        self._clock = SystemClock()
        self._started = asyncio.Event()
        self._stopping = asyncio.Event()
        self._failed: BaseException | None = None
        self._unstarted = ""
        self._accounts = Accounts(folders.state, configuration.account)
        self._doors = Doors(self._accounts)
        self._durability = Durability(folders.ministack)
        self._metering = Metering()
        meter = repairs.meter_functions(self._metering.put)
        self._invocations = Invocations(
            folders.state / "invocations.sqlite3", self._clock, meter, lambda: self._durability.touch(LOGS)
        )
        self._configuration = configuration
        self._aws = clients(self._url, self._accounts)
        self._faults = Faults()
        self._home = Place(configuration.account, configuration.region)
        self._regions = Regions(self._home, folders.state, self._create_services, "monitoring")
        self._metering.put_in = self._regions.put

    def _create_services(self, place: Place) -> dict[str, Service]:
        """The services of ours in a region of an account."""
        folders, configuration = self._folders, self._configuration
        account, region = place
        state = self._regions.folder(folders.state, place)
        state.mkdir(parents=True, exist_ok=True)
        platform = Platform(
            state=state,
            run=self._regions.folder(folders.run, place),
            region=region,
            account=account,
            endpoint_url=self._url,
            clock=self._clock,
            aws=partial(self._aws, account=account, region=region),
            deliveries=deliveries.CloudDeliveries(region, account, self._durability, self._invocations),
            images=configuration.images,
            child_environment={STATE_MARK: str(folders.state)},
            time_scale=configuration.time_scale,
            faults=self._faults,
            roles=CloudRoles(self._url, region, account),
        )
        monitoring = cloudwatch.create(platform)
        return {"monitoring": monitoring, "sagemaker": sagemaker.create(replace(platform, metrics=monitoring))}

    async def serve(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            Exception: A service did not start; everything has been stopped.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop, number)
        self._metering.loop = loop
        self._durability.attach(loop)
        self._durability.install()
        repairs.qualify_listed_versions()
        repairs.report_failed_object_writes()
        repairs.refuse_overlapping_updates()
        self._doors.guard()
        UsedRights(self._folders.state, self._configuration.account).watch()
        repairs.count_loopback_as_secure()
        repairs.parse_policies_once()
        repairs.compact_redrive_policies()
        repairs.keep_sessions()
        repairs.keep_code_until_saved()
        repairs.copy_logs_lightly()
        deliveries.guard(self._invocations, self._durability)
        mappings.guard(self._durability)
        handlers = {name: self._regions.handler(name) for name in gateway.NAMESPACES}
        gateway.install(handlers, self._started)
        state_machines.install()
        crossing.install(self._accounts, self._regions.running)
        application = asgi.application(
            self._durability,
            self._status,
            self._lifespan,
            self._dashboard,
            shortcut=partial(Shortcut, handlers["sagemaker"], self._started),
            faults=self._faults,
            doors=self._doors,
        )
        await self._listen(application)
        if self._failed is not None:
            raise self._failed

    def _told_to_stop(self, number: signal.Signals) -> None:
        log.info("stopping on %s", number.name)
        self._stopping.set()

    async def _listen(self, application: App) -> None:
        """Serve while `_run_until_stopped` runs; the application's start comes before it, and its stop after it."""
        listening = uvicorn.Config(
            application,
            port=self._port,
            http=Protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,  # no client says for another where it comes from
            server_header=False,
            date_header=False,  # ministack sends one
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
            reset_contextvars=True,  # what one request pins is not the next one's
        )
        listening.load()
        server = uvicorn.Server(listening)
        server.lifespan = listening.lifespan_class(listening)
        sockets = [socket.create_server(("127.0.0.1", self._port))]
        try:
            await server.startup(sockets)
        except SystemExit:
            raise NotStarted(self._unstarted) from None
        await self._run_until_stopped()
        await server.shutdown(sockets)

    async def _dashboard(self, name: str, account: str) -> str | None:
        account = account or self._configuration.account
        if account not in self._accounts.names():
            return None
        monitoring = self._aws("cloudwatch", account=account, region=self._configuration.region)
        try:
            found = await asyncio.to_thread(monitoring.get_dashboard, DashboardName=name)
        except ClientError:
            return None
        return str(found["DashboardBody"])

    async def _run_until_stopped(self) -> None:
        """Run what lives on the open port; the server stops listening when this returns."""
        housekeeping: list[asyncio.Task[None]] = []
        try:
            await self._regions.start()
            await self._invocations.start()
            housekeeping = [
                background.begin(self._keep_small(), "housekeeping"),
                background.begin(self._meter_queues(), "metering of queues"),
            ]
            self._started.set()
            self._announce()
            await self._stopping.wait()
        except Exception as error:
            self._failed = error
        finally:
            for task in housekeeping:
                task.cancel()
            await self._regions.stop()
            await self._invocations.stop()

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let ministack start and stop, and close the state behind it."""

        async def observed(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                await asyncio.to_thread(lambda_runtime.reset)
                await self._durability.close()
                (self._folders.state / "server.json").unlink(missing_ok=True)
            await send(message)

        try:
            await ministack_app.app(scope, receive, observed)
        except Exception as error:
            self._unstarted = str(error)
            await send({"type": "lifespan.startup.failed"})

    def _announce(self) -> None:
        gc.collect()
        gc.freeze()
        facts = {
            "pid": os.getpid(),
            "port": self._port,
            "url": self._url,
            "region": self._configuration.region,
            "account": self._configuration.account,
            "started": self._clock.time(),
        }
        write_atomically(self._folders.state / "server.json", json.dumps(facts).encode())
        log.info("ready on %s", self._url)

    def _status(self) -> dict[str, Any]:
        return {
            "ready": self._started.is_set() and not self._stopping.is_set(),
            "pid": os.getpid(),
            "url": self._url,
            "state": str(self._folders.state),
            "accounts": self._accounts.names(),
            "services": sorted(ministack_app.SERVICE_HANDLERS),
            "time_scale": self._configuration.time_scale,
            "faults": len(self._faults.all()),
        }

    async def _keep_small(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING_SECONDS)
            with background.log_errors("housekeeping"):
                await asyncio.to_thread(repairs.end_idle_workers, IDLE_WORKER_SECONDS)
                if repairs.trim_logs(self._clock.time()):
                    self._durability.touch(LOGS)

    async def _meter_queues(self) -> None:
        while True:
            with background.log_errors("the metering of queues"):
                repairs.meter_queues(self._metering.put)
            await asyncio.sleep(_QUEUE_METER_SECONDS)


def run(folders: Folders, port: int, configuration: Configuration) -> None:
    """Serve one cloud in this process until it is told to stop."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(ValueError, OSError):  # a system may allow less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    logging.getLogger("localcloud").setLevel(os.environ.get("LOCALCLOUD_LOG", "INFO").upper())
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(folders, port, configuration))
    except NotStarted as error:
        raise SystemExit(f"error: {error}") from None


async def _serve(folders: Folders, port: int, configuration: Configuration) -> None:
    await Host(folders, port, configuration).serve()
