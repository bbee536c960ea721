"""One request to an endpoint, and its answer."""

from __future__ import annotations

from cli.errors import explained
from cli.platform.choose import platform_of
from cli.platform.facts import Request
from cli.target import Target
from cli.view.releases import variant_of


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
    chosen = variant_of(target, variant) if variant else None
    with explained(f"invoking {target.endpoint}"):
        answer = platform_of(target).sender().send(Request(body, content_type, chosen))
    return answer.variant, answer.body.decode(errors="replace")
