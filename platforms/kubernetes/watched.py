"""The settings of an endpoint's alarm rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

from platforms.kubernetes.metrics import edge_at_or_above, whose
from services.declaration.alarms import Watch


@dataclass(frozen=True)
class Watched(Watch):
    """An endpoint, the Envoy clusters of its variants, and when its alarms fire."""

    namespace: str
    endpoint: str
    variants: Mapping[str, tuple[str, ...]]
    _: KW_ONLY
    every_seconds: int

    def __post_init__(self) -> None:
        if self.period_seconds < self.every_seconds:
            raise ValueError(
                f"period_seconds: got {self.period_seconds}, expected at least every_seconds = {self.every_seconds}"
            )
        if edge_at_or_above(self.max_p99_ms) is None:
            raise ValueError(f"max_p99_ms: got {self.max_p99_ms}, expected at most the last bound of Envoy's buckets")

    @property
    def labels(self) -> dict[str, str]:
        """The labels of all metrics of the endpoint."""
        return whose(self.namespace, self.endpoint)

    @property
    def clusters(self) -> tuple[str, ...]:
        """The clusters of all variants."""
        return tuple(dict.fromkeys(name for names in self.variants.values() for name in names))
