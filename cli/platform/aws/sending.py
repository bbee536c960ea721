"""Requests to a SageMaker endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cli.errors import NotAnswered, OperatorError, refusal
from cli.platform.facts import Answer, Request
from cli.target import Target

MOST_BYTES = 25 * 1024 * 1024
"""Of one request to a real-time endpoint. botocore's model still says 6 MB, which SageMaker has stopped enforcing.

Source: Amazon SageMaker AI developer guide, "Real-time inference".
"""


def runtime(target: Target, at_once: int) -> Any:
    """A client for requests to the endpoint, so many at once; it never sends one twice."""
    attempts = {"total_max_attempts": 1}
    config = Config(connect_timeout=3, read_timeout=65, retries=attempts, max_pool_connections=at_once)
    return target.client("sagemaker-runtime", config)


@dataclass(frozen=True)
class SageMakerSender:
    """`Sender` by InvokeEndpoint."""

    runtime: Any
    endpoint: str

    @classmethod
    def of(cls, target: Target, at_once: int) -> SageMakerSender:
        """That of an endpoint: a single request by the usual client, many by one that never sends one twice."""
        return cls(target.client("sagemaker-runtime") if at_once == 1 else runtime(target, at_once), target.endpoint)

    def send(self, request: Request) -> Answer:
        """See `Sender`.

        Raises:
            OperatorError: The payload is too large to be sent.
        """
        if len(request.body) > MOST_BYTES:
            raise OperatorError(
                f"the request has {len(request.body):,} bytes ({len(request.body) / 2**20:.1f} MB), and SageMaker "
                f"takes at most {MOST_BYTES:,} ({MOST_BYTES // 2**20} MB); nothing was sent",
                "Send fewer instances in one request. A model may have a smaller limit of its own, which it names.",
                2,
            )
        more: dict[str, str] = {}
        if request.variant:
            more["TargetVariant"] = request.variant
        if request.inference_id:
            more["InferenceId"] = request.inference_id
        if request.event_time:
            more["CustomAttributes"] = f"event-time={request.event_time}"
        try:
            answer = self.runtime.invoke_endpoint(
                EndpointName=self.endpoint, ContentType=request.content_type, Body=request.body, **more
            )
            return Answer(answer["InvokedProductionVariant"], answer["Body"].read())
        except ClientError as error:
            detail = error.response.get("Error", {})
            kind = str(error.response.get("OriginalStatusCode") or detail.get("Code", "error"))
            raise NotAnswered(kind, refusal(error)) from error
        except BotoCoreError as error:
            raise NotAnswered(type(error).__name__, str(error)) from error
