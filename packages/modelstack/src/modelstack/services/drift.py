"""Measures the drift of the requests of an endpoint from its releases' training data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from modelstack.monitoring.drift.watch import DriftWatch, Measured
from modelstack.services.promises import Promises


@dataclass(frozen=True)
class DriftRun:
    """The result of one call; a variant without a reference is `unmeasured` and counted as `DriftUnmeasured`."""

    measured: Mapping[str, Measured]
    unmeasured: Mapping[str, Exception]

    @property
    def failures(self) -> list[Exception]:
        """Why the measurement of variants was incomplete."""
        return [one.failure for one in self.measured.values() if one.failure]


def measure_drift(
    promises: Promises,
    watch: DriftWatch,
    now: float,
    named: Mapping[str, Collection[str]] | None = None,
    more: Callable[[], bool] = lambda: True,
) -> DriftRun:
    """Count the captures of an endpoint's serving variants, publish the counts, and log the findings.

    `named` maps variants to files that have arrived; None for a sweep, see `DriftWatch.measure`. `more` says whether
    there is time for another file.
    """
    references, unmeasured = promises.references(named)
    measured = watch.measure(references, now, named, unmeasured, more)
    for variant, item in measured.items():
        if item.files or item.findings or item.failure:
            item.log(endpoint=promises.state.endpoint, variant=variant)
    return DriftRun(measured, unmeasured)
