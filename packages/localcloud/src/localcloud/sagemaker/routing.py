"""Which fleet and which variant take a request? Chance, in proportion to the weights."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from localcloud.sagemaker.deployment import Variant
from localcloud.sagemaker.fleet import Fleet


class Routes:
    """Variants with their weights at one moment; replaced whole when a weight changes, so no lock is needed.

    Args:
        variants: With their current weights; shares are weight over the sum of weights.
    """

    def __init__(self, variants: Sequence[Variant]) -> None:
        production = [variant for variant in variants if not variant.shadow]
        self._named = {variant.name: variant for variant in production}
        weighted = [variant for variant in production if variant.weight > 0]
        self._weighted = weighted
        self._bounds = list(accumulate(variant.weight for variant in weighted))
        self._shadow = next((variant for variant in variants if variant.shadow), None)
        # The share of requests that are copied: the shadow's weight over the production variant's, at most all.
        self._copied = self._shadow.weight / self._bounds[-1] if self._shadow and self._bounds else 0.0

    def named(self, name: str) -> Variant | None:
        """The production variant that a TargetVariant header names, whatever its weight, or None."""
        return self._named.get(name)

    def draw(self) -> Variant | None:
        """A variant by chance; one of weight 0 never. None when no variant has weight."""
        if not self._weighted:
            return None
        drawn = random.random() * self._bounds[-1]  # noqa: S311 - a load balancer needs no secrets
        # random() < 1, but the product may round up to the last bound.
        return self._weighted[min(bisect_right(self._bounds, drawn), len(self._weighted) - 1)]

    def copied(self) -> Variant | None:
        """The shadow variant if this request is to be copied to it, by chance; else None."""
        return self._shadow if self._copied and random.random() < self._copied else None  # noqa: S311 - as above


@dataclass
class Side:
    """A fleet that takes requests, and how they are spread over its variants.

    Attributes:
        by_config: Whether its metrics are published with the dimension EndpointConfigName too: while and after
            guardrails moved the endpoint.
    """

    fleet: Fleet
    routes: Routes
    by_config: bool = False


@dataclass
class Live:
    """An endpoint that takes requests.

    Attributes:
        side: What serves.
        green: What is to serve, while guardrails move the endpoint; else None.
        share: Of the requests that `green` takes.
    """

    side: Side
    green: Side | None = None
    share: float = 0.0

    @property
    def fleet(self) -> Fleet:
        """The fleet that serves."""
        return self.side.fleet

    def draw(self) -> Side:
        """The side that takes a request, by chance."""
        if self.green is not None and random.random() < self.share:  # noqa: S311 - as above
            return self.green
        return self.side


def side_of(fleet: Fleet, *, by_config: bool = False) -> Side:
    """A started fleet as what takes requests."""
    return Side(fleet, Routes(fleet.deployment.variants), by_config)
