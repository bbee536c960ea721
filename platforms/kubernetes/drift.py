"""Drift in the cluster, measured once a minute by the leader."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monitoring.drift.watch import DriftWatch, Measured
from platforms.kubernetes.captures import Captures
from platforms.kubernetes.database import Database
from platforms.kubernetes.documents import PostgresDocuments
from platforms.kubernetes.measured import PostgresMetrics
from services.drift import Drift
from services.drift_record import DriftRecord
from services.promises import Promises

_SHOWN_S = 300.0  # how long a level is shown that no sweep publishes again: a few sweeps


def sweep(
    database: Database,
    promises: Promises,
    now: float,
    *,
    false_alarms: float = 0.05,
    more: Callable[[], bool] = lambda: True,
) -> Mapping[str, Measured]:
    """Measure the drift of the serving variants and publish it; raises the first failure at the end.

    `false_alarms` are tolerated a year and variant; `more` says whether there is time for another file.
    """
    endpoint = promises.state.endpoint
    watch = DriftWatch(
        captures=Captures(database, endpoint),
        # A file is listed after those that were visible before it: none comes late.
        record=DriftRecord(PostgresDocuments(database, endpoint), marks=False),
        metrics=PostgresMetrics(database, endpoint, _SHOWN_S),
        false_alarms=false_alarms,
        every=promises.settings.block_seconds,
    )
    found = Drift(promises, watch).measure(now, None, more)
    if found.failures:
        raise found.failures[0]
    return found.measured
