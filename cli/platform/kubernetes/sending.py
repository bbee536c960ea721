"""Requests to an endpoint behind a gateway."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from cli.errors import NotAnswered, reasons
from cli.platform.facts import Answer, Request
from platforms.kubernetes.gateway import Entrance
from platforms.kubernetes.names import TARGET_HEADER, VARIANT_HEADER

PATH = "/invocations"
_INFERENCE_ID, _ATTRIBUTES = "x-amzn-sagemaker-inference-id", "x-amzn-sagemaker-custom-attributes"
"""What the serving runtime takes on every platform."""
_REACHED = "x-envoy-upstream-service-time"  # on what a pod answered, and not on what the gateway says by itself


@dataclass(frozen=True)
class GatewaySender:
    """`Sender` by HTTP.

    Attributes:
        client: Its base URL is the gateway's.
    """

    client: httpx.Client

    @classmethod
    def of(cls, entrance: Entrance, at_once: int) -> GatewaySender:
        """That of a gateway, for so many requests at once."""
        return cls(entrance.client(httpx.Timeout(65, connect=3), at_once))

    def send(self, request: Request) -> Answer:
        """See `Sender`."""
        headers = {"content-type": request.content_type}
        if request.variant:
            headers[TARGET_HEADER] = request.variant
        if request.inference_id:
            headers[_INFERENCE_ID] = request.inference_id
        if request.event_time:
            headers[_ATTRIBUTES] = f"event-time={request.event_time}"
        try:
            answer = self.client.post(PATH, content=request.body, headers=headers)
        except httpx.HTTPError as error:
            what = str(error) or type(error).__name__
            raise NotAnswered(type(error).__name__, f"the gateway at {self.client.base_url}: {what}") from error
        variant = answer.headers.get(VARIANT_HEADER, "")
        if answer.is_success:
            return Answer(variant or "a variant that does not say its name", answer.content)
        by = "the model" if variant or _REACHED in answer.headers else "the gateway itself"
        raise NotAnswered(str(answer.status_code), _told(by, answer))


def _told(by: str, answer: httpx.Response) -> str:
    """What was answered in place of a prediction, a line for each reason."""
    problems = reasons(answer.text)
    if len(problems) == 1:
        return f"{by} answered {answer.status_code}: {problems[0]}"
    return f"{by} answered {answer.status_code}: {len(problems)} problems" + "".join(f"\n  {one}" for one in problems)
