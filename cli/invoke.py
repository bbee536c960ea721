"""One request to an endpoint, and its answer."""

from __future__ import annotations

from typing import Any

from cli.errors import OperatorError, explained
from cli.target import Target
from cli.view.releases import variant_of

MOST_BYTES = 25 * 1024 * 1024
"""Of one request to a real-time endpoint. botocore's model still says 6 MB, which SageMaker has stopped enforcing.

Source: Amazon SageMaker AI developer guide, "Real-time inference".
"""


def send(target: Target, body: bytes, content_type: str, variant: str | None) -> tuple[str, str]:
    """Put one request.

    Args:
        target: Whose endpoint.
        body: The payload, as it is.
        content_type: What the payload is.
        variant: The variant or release that is to answer; None lets the weights choose.

    Returns:
        The variant that answered, and its answer.

    Raises:
        OperatorError: The payload is too large to be sent, or there is no good answer.
    """
    if len(body) > MOST_BYTES:
        raise OperatorError(
            f"the request has {len(body):,} bytes ({len(body) / 2**20:.1f} MB), and SageMaker takes at most "
            f"{MOST_BYTES:,} ({MOST_BYTES // 2**20} MB); nothing was sent",
            "Send fewer instances in one request. A model may have a smaller limit of its own, which it names.",
            2,
        )
    chosen: dict[str, Any] = {"TargetVariant": variant_of(target, variant)} if variant else {}
    with explained(f"invoking {target.endpoint}"):
        answer = target.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=target.endpoint, ContentType=content_type, Body=body, **chosen
        )
        return answer["InvokedProductionVariant"], answer["Body"].read().decode(errors="replace")
