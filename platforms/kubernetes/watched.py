"""What the rules of an endpoint watch, and when they ring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from platforms.kubernetes.metrics import edge_at_or_above, whose


@dataclass(frozen=True)
class Watched:
    """What is watched, and when it rings.

    Attributes:
        namespace: Where the endpoint is.
        endpoint: The endpoint.
        variants: Variant -> the clusters of Envoy that serve it.
        every_seconds: How often the rules are evaluated.
        period_seconds: Over which time the alarms of a variant count.
        max_5xx_rate: The share of requests that may fail.
        max_p99_ms: How long 99 of 100 requests may take, in milliseconds.
        nats: The evidence that a period needs (`alarm_thresholds.evidence`, over all evaluations of a trial and watch).
        probe_minutes: How often the endpoint is probed; None: never.
        sweep_minutes: How often drift is measured at least.
    """

    namespace: str
    endpoint: str
    variants: Mapping[str, tuple[str, ...]]
    every_seconds: int
    period_seconds: int
    max_5xx_rate: float
    max_p99_ms: float
    nats: float
    probe_minutes: int | None = 1
    sweep_minutes: int = 60

    def __post_init__(self) -> None:
        if self.period_seconds < self.every_seconds:
            raise ValueError(
                f"period_seconds: got {self.period_seconds}, expected at least every_seconds = {self.every_seconds}"
            )
        if edge_at_or_above(self.max_p99_ms) is None:
            raise ValueError(f"max_p99_ms: got {self.max_p99_ms}, expected at most the last bound of Envoy's buckets")

    @property
    def labels(self) -> dict[str, str]:
        """Those of all that is of the endpoint."""
        return whose(self.namespace, self.endpoint)

    @property
    def clusters(self) -> tuple[str, ...]:
        """Those of all variants."""
        return tuple(dict.fromkeys(name for names in self.variants.values() for name in names))
