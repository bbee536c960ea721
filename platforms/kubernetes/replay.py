"""`Replay` on Kubernetes: captured requests of the champion are sent through the gateway to the challenger by name.

The route has a rule a variant, which matches the header `x-modelstack-target`. A rule that is not there yet would let
the weights decide, and the champion be compared with itself: so an answer has to name the variant that gave it. The
serving runtime does so on each of its answers; what a gateway says by itself names none.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import httpx

from monitoring.captured import REPLAYED, Side
from monitoring.replaying import refused, replay
from platforms.kubernetes.captures import Captures
from platforms.kubernetes.database import Database
from platforms.kubernetes.gateway import Entrance
from platforms.kubernetes.names import INFERENCE_ID, INVOCATIONS, TARGET_HEADER, VARIANT_HEADER
from rollout.core.errors import Busy
from rollout.core.replay import NONE, Examined, examine
from rollout.core.state import Replayed

_TIMEOUT = httpx.Timeout(60.0, connect=3.0)  # a model on SageMaker has 60 s
_TOO_LATE = 504


class Cluster(Protocol):
    """What is needed of `platforms.kubernetes.api.Api`."""

    @property
    def in_cluster(self) -> bool:
        """Whether this runs in a pod."""
        ...


@dataclass(frozen=True)
class GatewayReplay:
    """`Replay` over one route.

    Attributes:
        cluster: The cluster.
        database: Where captures are kept; None of who cannot reach it.
        endpoint: The endpoint.
        entrance: Where the route's requests come in.
    """

    cluster: Cluster
    database: Database | None
    endpoint: str
    entrance: Entrance

    def run(self, champion: str, challenger: str, requests: int, before: Replayed = NONE) -> Replayed:
        """Replay the latest captured requests; none when nothing is captured.

        Raises:
            Busy: This is not the controller in the cluster; or the gateway does not reach the variant by name now.
            Unreachable: The database does not answer.
        """
        if not self.cluster.in_cluster or self.database is None:
            raise Busy("the controller in the cluster replays")
        captures = Captures(self.database, self.endpoint)
        with self.entrance.client(_TIMEOUT) as client:
            return replay(
                partial(captures.latest, champion, requests),
                partial(self._ask, client),
                champion=champion,
                challenger=challenger,
                before=before,
            )

    def _ask(
        self, client: httpx.Client, variant: str, captured: tuple[Side, Side], number: int
    ) -> tuple[float, Examined]:
        asked, answered = captured
        headers = {
            "content-type": asked.content_type,
            "accept": answered.content_type,
            TARGET_HEADER: variant,
            INFERENCE_ID: f"{REPLAYED}{variant}-{number}",
        }
        began = time.monotonic()
        try:
            answer = client.post(INVOCATIONS, content=asked.body, headers=headers)
        except httpx.ReadTimeout:
            return time.monotonic() - began, refused(variant, number, _TOO_LATE, "no answer within 60 s")
        except httpx.HTTPError as error:
            raise Busy(
                f"replay a request to {variant}: {self.entrance.url}: {type(error).__name__}: {error}"
            ) from error
        seconds = time.monotonic() - began
        self._reached(variant, answer)
        if answer.is_success:
            return seconds, examine(answered.body, answer.content)
        return seconds, refused(variant, number, answer.status_code, answer.text)

    def _reached(self, variant: str, answer: httpx.Response) -> None:
        """See that the variant itself answered. That a gateway waited for it in vain is an answer, too.

        Raises:
            Busy: Something else answered.
        """
        status, named = answer.status_code, answer.headers.get(VARIANT_HEADER)
        if named == variant or (not named and status == _TOO_LATE):
            return
        doing = f"replay a request to {variant}"
        if named:
            raise Busy(f"{doing}: {named} answered: the route has no rule for {variant} yet")
        raise Busy(f"{doing}: no variant answered, but the gateway: {status} {answer.text[:200]}".rstrip())
