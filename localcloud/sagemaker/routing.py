"""Which variant takes a request? Chance, in proportion to the weights."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from localcloud.sagemaker.deployment import Variant


class Routes:
    """Variants with their weights at one moment; replaced whole when a weight changes, so no lock is needed.

    Args:
        variants: With their current weights; shares are weight over the sum of weights.
    """

    def __init__(self, variants: Sequence[Variant]) -> None:
        self._named = {variant.name: variant for variant in variants}
        weighted = [variant for variant in variants if variant.weight > 0]
        self._weighted = weighted
        self._bounds = list(accumulate(variant.weight for variant in weighted))

    def named(self, name: str) -> Variant | None:
        """The variant that a TargetVariant header names, whatever its weight, or None."""
        return self._named.get(name)

    def draw(self) -> Variant | None:
        """A variant by chance; one of weight 0 never. None when no variant has weight."""
        if not self._weighted:
            return None
        drawn = random.random() * self._bounds[-1]  # noqa: S311 - a load balancer needs no secrets
        # random() < 1, but the product may round up to the last bound.
        return self._weighted[min(bisect_right(self._bounds, drawn), len(self._weighted) - 1)]
