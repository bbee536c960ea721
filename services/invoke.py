"""One request to one variant of an endpoint: the port `Invoke`.

response = invoke.send(Request(b'{"instances": [{"a": 1}]}', variant="v-3f2a"))
response.status, response.variant, response.body
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rollout.core.errors import RolloutError, Unreachable

JSON = "application/json"
GATEWAY_TIMEOUT = 504
"""The HTTP status of a gateway that waited for a variant in vain."""


class TooLarge(RolloutError):
    """The platform does not take a request of this size; nothing was sent."""


class NoSuchVariant(RolloutError):
    """The endpoint has no variant of this name now. A platform that cannot tell lets another variant answer."""


class TimedOut(Unreachable):
    """The request reached the endpoint, and no answer came in time."""


@dataclass(frozen=True)
class Request:
    """A request to an endpoint.

    Attributes:
        body: The payload, as it is.
        content_type: What the payload is.
        accept: Which content type the answer should have; empty leaves it to the model.
        variant: The variant that is to answer; None lets the weights choose.
        inference_id: By which a label finds its answer; empty for none.
        event_time: Of what the request is about, ISO 8601; empty when it has no time.
    """

    body: bytes
    content_type: str = JSON
    accept: str = ""
    variant: str | None = None
    inference_id: str = ""
    event_time: str = ""


@dataclass(frozen=True)
class Response:
    """An answer, whether good or an error.

    Attributes:
        status: The HTTP status: the model's, or that of a gateway in front of it.
        body: The payload, as it is.
        seconds: From sending the request until its answer was read.
        variant: The variant that answered; empty when the answer does not name it.
        by_model: Whether the model answered, and not a gateway in front of it.
    """

    status: int
    body: bytes
    seconds: float
    variant: str = ""
    by_model: bool = True

    @property
    def ok(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300


class Invoke(Protocol):
    """Sends requests to one endpoint, from any number of threads at once."""

    def send(self, request: Request) -> Response:
        """Send a request; an error of the model or of its gateway is a response, too.

        Raises:
            TooLarge: The platform takes no request of this size.
            NoSuchVariant: The endpoint has no variant of this name.
            Busy: The platform takes the request later.
            Unreachable: There is no answer; `TimedOut` when the request was taken.
            RolloutError: The platform refuses the request.
        """
        ...
