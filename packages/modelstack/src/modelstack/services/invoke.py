"""The port `Invoke`: one request to one variant of an endpoint.

response = invoke.send(Request(b'{"instances": [{"a": 1}]}', variant="v-3f2a"))
response.status, response.variant, response.body
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from modelstack.rollout.core.errors import RolloutError, Unreachable

JSON = "application/json"
GATEWAY_TIMEOUT = 504
"""The HTTP status of a gateway whose wait for a variant timed out."""


class TooLarge(RolloutError):
    """The platform does not take a request of this size; nothing was sent."""


class NoSuchVariant(RolloutError):
    """The endpoint has no such variant. A platform that cannot detect this lets another variant respond."""


class TimedOut(Unreachable):
    """The request reached the endpoint, and no response came in time."""


@dataclass(frozen=True)
class Request:
    """A request to an endpoint.

    Attributes:
        accept: The desired content type of the response; empty leaves it to the model.
        variant: None lets the weights choose.
        inference_id: Joins a label to its prediction; empty for none.
        event_time: The time that the request is about, ISO 8601; empty if it has none.
    """

    body: bytes
    content_type: str = JSON
    accept: str = ""
    variant: str | None = None
    inference_id: str = ""
    event_time: str = ""


@dataclass(frozen=True)
class Response:
    """A response, whether good or an error.

    Attributes:
        status: The HTTP status, of the model or of a gateway in front of it.
        seconds: From sending the request until the response was read.
        variant: The variant that responded; empty if not known.
        by_model: Whether the model responded, and not a gateway in front of it.
    """

    status: int
    body: bytes
    seconds: float
    variant: str = ""
    by_model: bool = True

    @property
    def ok(self) -> bool:
        """Whether the status is 2XX."""
        return 200 <= self.status < 300


class Invoke(Protocol):
    """Sends requests to one endpoint, from any number of threads at once."""

    def send(self, request: Request) -> Response:
        """Send a request; an error of the model or of its gateway is a response, too.

        Raises:
            TooLarge: The platform takes no request of this size.
            NoSuchVariant: The endpoint has no variant of this name.
            Busy: The platform takes the request later.
            Unreachable: There is no response; `TimedOut` if the request was taken.
            RolloutError: The platform refuses the request.
        """
