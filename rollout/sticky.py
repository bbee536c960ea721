"""Which variant answers a key? The same one each time, so that in an A/B test one customer sees one model.

    assigned("customer-17", {"v-3f2a": 90.0, "v-77c1": 10.0}, salt="000012-77c1")    # "v-3f2a", each time

Weighted rendezvous hashing: each variant draws a number from the key, and the highest, stretched by the weights, wins.
A variant gets keys in proportion to its weight, and when one gets more weight, keys move to that one only: a customer
who saw the challenger at 10% sees it at 50%. Source: Schindelhauer and Schomaker, "Weighted distributed hash tables",
SPAA 2005 (the logarithmic method).
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.aws import Clients, calling, code_of
from rollout.ports import RolloutError

_BITS = 53  # as many as a float holds


def assigned(key: str, weights: Mapping[str, float], *, salt: str = "") -> str | None:
    """The variant of a key.

    Args:
        key: What shall see one variant: a customer, a session.
        weights: Relative weight per variant, >= 0. One of weight 0 gets no key.
        salt: Tells one experiment from another: with another salt, keys are dealt anew.

    Returns:
        The variant; None when no variant has weight.
    """
    scored = [(_score(key, name, salt, weight), name) for name, weight in weights.items() if weight > 0]
    return max(scored)[1] if scored else None


def _score(key: str, name: str, salt: str, weight: float) -> float:
    digest = hashlib.sha256("\0".join((salt, name, key)).encode()).digest()
    uniform = (int.from_bytes(digest[:8], "big") >> (64 - _BITS)) + 0.5
    return -weight / math.log(uniform / 2**_BITS)


@dataclass
class StickyEndpoint:
    """Invokes a SageMaker endpoint so that one key meets one variant, by the weights that the endpoint has then.

        endpoint = StickyEndpoint(clients("us-east-1"), "flight-delay-prod")
        endpoint.invoke("customer-17", Body=body, ContentType="application/json")

    The weights are read again every `seconds`: a rollback reaches the challenger's keys within that time, and at once
    when its variant is gone.

    Attributes:
        clients: Gives boto3 clients.
        endpoint: The endpoint's name.
        salt: See `assigned`.
        seconds: How long the weights are taken as read.
        clock: Seconds that never go back.
    """

    clients: Clients
    endpoint: str
    salt: str = ""
    seconds: float = 5.0
    clock: Callable[[], float] = time.monotonic
    _weights: dict[str, float] = field(default_factory=dict[str, float])
    _read_at: float = -math.inf

    def invoke(self, key: str, **request: Any) -> Any:
        """InvokeEndpoint for a key.

        Args:
            key: What shall see one variant.
            request: Arguments of boto3's `invoke_endpoint`, without EndpointName and TargetVariant.

        Raises:
            RolloutError: The endpoint does not answer, or refuses the request.
        """
        variant = assigned(key, self.weights(), salt=self.salt)
        try:
            return self._invoke(variant, request)
        except RolloutError as error:
            # The variant may be gone since the weights were read: then whoever has the weight answers.
            if variant is None or code_of(error.__cause__) not in {"ValidationError", "ValidationException"}:
                raise
            self._read_at = -math.inf
            now = assigned(key, self.weights(), salt=self.salt)
            if now == variant:
                raise
            return self._invoke(now, request)

    def weights(self) -> Mapping[str, float]:
        """The relative weights of the production variants, not older than `seconds`."""
        if self.clock() - self._read_at > self.seconds:
            with calling(f"describe endpoint {self.endpoint}"):
                answer = self.clients("sagemaker").describe_endpoint(EndpointName=self.endpoint)
            variants = answer.get("ProductionVariants", [])
            self._weights = {item["VariantName"]: float(item.get("CurrentWeight", 0.0)) for item in variants}
            self._read_at = self.clock()
        return self._weights

    def _invoke(self, variant: str | None, request: Mapping[str, Any]) -> Any:
        target = {"TargetVariant": variant} if variant else {}
        with calling(f"invoke endpoint {self.endpoint}"):
            return self.clients("sagemaker-runtime").invoke_endpoint(EndpointName=self.endpoint, **target, **request)
