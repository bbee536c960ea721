"""`Invoke` on AWS: InvokeEndpoint of SageMaker's runtime."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError

from modelstack.platforms.aws.clients import Clients, calling
from modelstack.platforms.s3.errors import code_of
from modelstack.services.invoke import NoSuchVariant, Request, Response, TooLarge

MOST_BYTES = 25 * 1024 * 1024
"""Of one request to a real-time endpoint. botocore's model still says 6 MB, which SageMaker has stopped enforcing.

Source: Amazon SageMaker AI developer guide, "Real-time inference".
"""


@dataclass(frozen=True)
class SageMakerInvoke:
    """`Invoke` of one SageMaker endpoint."""

    clients: Clients
    endpoint: str

    def send(self, request: Request) -> Response:
        size = len(request.body)
        if size > MOST_BYTES:
            raise TooLarge(
                f"the request has {size:,} bytes ({size / 2**20:.1f} MB), and SageMaker takes at most {MOST_BYTES:,} "
                f"({MOST_BYTES // 2**20} MB); nothing was sent"
            )
        given = {
            "Accept": request.accept,
            "TargetVariant": request.variant,
            "InferenceId": request.inference_id,
            "CustomAttributes": f"event-time={request.event_time}" if request.event_time else "",
        }
        began = time.monotonic()
        with calling(f"send a request to {request.variant or self.endpoint}"):
            try:
                answer = self.clients("sagemaker-runtime").invoke_endpoint(
                    EndpointName=self.endpoint,
                    Body=request.body,
                    ContentType=request.content_type,
                    **{name: value for name, value in given.items() if value},
                )
                body: bytes = answer["Body"].read()
            except ClientError as error:
                if code_of(error) == "ModelError":
                    return _of_model(error, request, time.monotonic() - began)
                if code_of(error) == "ValidationError" and request.variant:  # among others: no such variant
                    raise NoSuchVariant(str(error)) from error
                raise
        variant = answer.get("InvokedProductionVariant") or request.variant or ""
        return Response(200, body, time.monotonic() - began, variant)


def signed(client: Any, endpoint: str, body: bytes, content_type: str) -> tuple[str, dict[str, str]]:
    """URL and headers of a request to an endpoint, as `SageMakerInvoke` would send it; nothing is sent.

    AWS accepts them for five minutes. No other thread may use `client`, which signs for the region and with the keys
    that it was made with.
    """
    caught: list[Any] = []

    def catch(request: Any, **_: object) -> AWSResponse:
        caught.append(request)
        return AWSResponse(request.url, 200, HTTPHeaders(), BytesIO())

    before = "before-send.sagemaker-runtime.InvokeEndpoint"
    client.meta.events.register_first(before, catch)
    try:
        with calling(f"sign a request to {endpoint}"):
            client.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType=content_type)["Body"].close()
    finally:
        client.meta.events.unregister(before, catch)
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in caught[0].headers.items()}
    return caught[0].url, {name: value for name, value in headers.items() if name.lower() != "content-length"}


def _of_model(error: ClientError, request: Request, seconds: float) -> Response:
    """A model's error, as SageMaker passes it on, without the variant that answered."""
    told: Mapping[str, Any] = error.response
    body = str(told.get("OriginalMessage", "")).encode()
    return Response(int(told.get("OriginalStatusCode", 500)), body, seconds, request.variant or "")
