"""Measures the drift of what an endpoint serves against what its releases were trained on.

found = Drift(promises, watch).measure(now)
found.measured["v-77c1aa20b3f1"].most_evidence
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from monitoring.drift.watch import DriftWatch, Measured
from services.promises import Promises


@dataclass(frozen=True)
class Found:
    """What one call found.

    Attributes:
        measured: What was found of each variant.
        unmeasured: Why a variant could not be measured: its reference cannot be had now. Counted as `DriftUnmeasured`.
    """

    measured: Mapping[str, Measured]
    unmeasured: Mapping[str, Exception]

    @property
    def failures(self) -> list[Exception]:
        """Why variants could not be measured to the end."""
        return [one.failure for one in self.measured.values() if one.failure]


@dataclass(frozen=True)
class Drift:
    """The drift of one endpoint.

    Attributes:
        promises: What the releases were sealed with.
        watch: Measures them.
    """

    promises: Promises
    watch: DriftWatch

    def measure(
        self,
        now: float,
        named: Mapping[str, Collection[str]] | None = None,
        more: Callable[[], bool] = lambda: True,
    ) -> Found:
        """Count what was captured of the variants that serve, and publish it; what was found is logged.

        Args:
            now: Epoch seconds.
            named: Variant -> files that have arrived; None for a sweep, see `DriftWatch.measure`.
            more: Whether there is time for another file.
        """
        references, unmeasured = self.promises.references(named)
        measured = self.watch.measure(references, now, named, unmeasured, more)
        for variant, item in measured.items():
            if item.files or item.findings or item.failure:
                item.log(endpoint=self.promises.state.endpoint, variant=variant)
        return Found(measured, unmeasured)
