"""`Invoke` on Kubernetes: HTTP through the gateway of an endpoint.

The route has a rule for each variant, which matches the header `x-modelstack-target`. Until a rule exists, the weights
decide. The serving runtime names the variant in each response; a response of the gateway itself names none.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import httpx

from modelstack.platforms.kubernetes.names import ATTRIBUTES, INFERENCE_ID, INVOCATIONS, TARGET_HEADER, VARIANT_HEADER
from modelstack.rollout.core.errors import Unreachable
from modelstack.services.invoke import Request, Response, TimedOut

_REACHED = "x-envoy-upstream-service-time"  # on the answers of a pod, and not on the gateway's own


@dataclass(frozen=True)
class GatewayInvoke:
    """`Invoke` of the endpoint behind one route, by the client of
    `modelstack.platforms.kubernetes.gateway.Entrance`.
    """

    client: httpx.Client

    def send(self, request: Request) -> Response:
        """See `Invoke`. Never raises NoSuchVariant: a missing variant's requests go to others, by the weights."""
        given = {
            "content-type": request.content_type,
            "accept": request.accept,
            TARGET_HEADER: request.variant,
            INFERENCE_ID: request.inference_id,
            ATTRIBUTES: f"event-time={request.event_time}" if request.event_time else "",
        }
        began = time.monotonic()
        try:
            answer = self.client.post(
                INVOCATIONS, content=request.body, headers={name: value for name, value in given.items() if value}
            )
        except httpx.ReadTimeout as error:
            raise TimedOut(f"no answer within {self.client.timeout.read:g} s") from error
        except httpx.HTTPError as error:
            words = str(error) or type(error).__name__
            raise Unreachable(f"the gateway at {self.client.base_url}: {words}") from error
        seconds, variant = time.monotonic() - began, answer.headers.get(VARIANT_HEADER, "")
        by_model = bool(variant) or _REACHED in answer.headers
        return Response(answer.status_code, answer.content, seconds, variant, by_model)
