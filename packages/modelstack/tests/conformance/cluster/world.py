"""The place of stages in a cluster: a namespace in which rows are played one after another.

Each has its own gateway, because an answer of the Envoy itself is of no variant, and makes every endpoint behind it
unknown.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.access import Access, found
from modelstack.platforms.kubernetes.answers import Exists
from modelstack.platforms.kubernetes.api import Api, Object
from modelstack.platforms.kubernetes.crds import definitions
from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.gateway import url
from modelstack.platforms.kubernetes.kinds import CONFIG_MAP, CRD, DEPLOYMENT, GATEWAY, NAMESPACE, POD, SERVICE
from modelstack.platforms.kubernetes.prometheus import Prometheus
from modelstack.platforms.kubernetes.schema import prepare
from modelstack.rollout.core.errors import Unreachable
from tests.conformance.cluster import objects
from tests.conformance.cluster.image import pushed
from tests.conformance.cluster.inbox import Webhook, webhook
from tests.conformance.cluster.proxy import Proxy
from tests.platforms.kubernetes.apiserver import define
from tests.platforms.load import wait_for

STARTS = 300  # seconds, on a busy machine
_KEEPS_NOTHING = httpx.Limits(max_keepalive_connections=0)  # pods come and go


@dataclass(frozen=True)
class Shared:
    """What all worlds of a session share; `proxy` is for the controllers, the others are undisturbed."""

    access: Access
    image: str
    proxy: Proxy
    webhook: Webhook
    prometheus: Prometheus
    alertmanager: httpx.Client
    client: httpx.Client
    database: Database

    def api(self, namespace: str) -> Api:
        return Api(self.access, namespace)


@contextmanager
def shared(folder: Path) -> Generator[Shared]:
    access, prometheus_url = found(), os.environ["LOCALCLUSTER_PROMETHEUS"]
    _define(Api(access, "default"))
    database = Database.of(os.environ["LOCALCLUSTER_DATABASE"])
    prepare(database)
    with (
        Proxy.to(access, prometheus_url) as proxy,
        webhook() as told,
        httpx.Client(base_url=prometheus_url, timeout=30, verify=False) as prometheus,
        httpx.Client(base_url=os.environ["LOCALCLUSTER_ALERTMANAGER"], timeout=30, verify=False) as alertmanager,
        httpx.Client(timeout=30, verify=False, limits=_KEEPS_NOTHING) as client,
    ):
        image = pushed(os.environ["LOCALCLUSTER_REGISTRY"], folder)
        yield Shared(access, image, proxy, told, Prometheus(prometheus), alertmanager, client, database)
    database.close()


def _define(api: Api) -> None:
    missing = [one for one in definitions() if api.find(CRD, str(one["metadata"]["name"])) is None]
    if missing:
        define(api, missing)


@dataclass(frozen=True)
class World:
    """A namespace with a gateway at `address`."""

    shared: Shared
    api: Api
    address: str

    @classmethod
    def made(cls, cluster: Shared, name: str) -> World:
        """A new one, whose gateway runs; its namespace has this name and some digits."""
        api = cluster.api(f"{name}-{uuid.uuid4().hex[:6]}")
        api.create(NAMESPACE, {"metadata": {"name": api.namespace, "labels": objects.RESTRICTED}})
        api.apply(GATEWAY, objects.gateway(), names.PROGRAM)
        world = cls(cluster, api, "")
        world.runs(objects.RELAY, {"name": "relay"}, ["relay"], scraped=True)

        def programmed() -> str:
            with suppress(Unreachable):
                told = api.get(GATEWAY, objects.GATEWAY).get("status", {}).get("conditions", [])
                if any(one["type"] == "Programmed" and one["status"] == "True" for one in told):
                    return url(api, objects.GATEWAY)
            return ""

        return cls(cluster, api, wait_for(programmed, STARTS, f"the gateway of {api.namespace}"))

    def runs(
        self,
        name: str,
        behaviour: dict[str, object],
        words: list[str],
        environment: dict[str, str] | None = None,
        *,
        scraped: bool = False,
    ) -> None:
        told = {"SM_MODEL_DIR": "/opt/ml/model", **(environment or {})}
        made = objects.deployment(name, self.shared.image, words, told, scraped=scraped)
        self.api.apply(CONFIG_MAP, objects.behaviour(name, behaviour), names.PROGRAM)
        self.api.apply(SERVICE, objects.service(name), names.PROGRAM)
        self.api.apply(DEPLOYMENT, made, names.PROGRAM)

    def pods(self, name: str) -> list[Object]:
        return self.api.list(POD, {"app": name})

    def addresses(self, name: str) -> list[str]:
        found = [one.get("status", {}).get("podIP") for one in self.pods(name)]
        return [f"http://{address}:{names.PORT}" for address in found if address]

    def tells(self, text: str) -> None:
        for address in self.addresses(objects.RELAY):
            with suppress(httpx.HTTPError):
                self.shared.client.post(f"{address}/metrics", content=text.encode())

    def end(self) -> None:
        with suppress(Exists):
            self.api.delete(NAMESPACE, self.api.namespace)
        self.api.close()
