"""`Replay` on Kubernetes: sends captured requests from PostgreSQL through the gateway to the challenger by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import httpx

from platforms.kubernetes.api import Api
from platforms.kubernetes.captures import Captures
from platforms.kubernetes.database import Database
from platforms.kubernetes.gateway import entrance
from platforms.kubernetes.invoke import GatewayInvoke
from platforms.kubernetes.spec import RolloutSpec
from rollout.core.errors import Busy
from rollout.core.replay import NONE
from rollout.core.state import Replayed
from services.replay import replay

_TIMEOUT = httpx.Timeout(60.0, connect=3.0)  # a model on SageMaker has 60 s


@dataclass(frozen=True)
class GatewayReplay:
    """`Replay` through the gateway of an endpoint. Without a database, the caller cannot replay."""

    api: Api
    database: Database | None
    endpoint: str
    spec: RolloutSpec

    def run(self, champion: str, challenger: str, requests: int, before: Replayed = NONE) -> Replayed:
        """Replay the latest captured requests, if there are any.

        Raises Busy outside the cluster's controller, or if the gateway does not route to the variant by name yet.
        """
        if not self.api.in_cluster or self.database is None:
            raise Busy("the controller in the cluster replays")
        latest = partial(Captures(self.database, self.endpoint).latest, champion, requests)
        there = entrance(self.api, self.spec.gateway, self.spec.host, self.spec.ca_config_map)
        with there.client(_TIMEOUT) as client:
            return replay(latest, GatewayInvoke(client), champion=champion, challenger=challenger, before=before)
