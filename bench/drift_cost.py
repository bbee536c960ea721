"""What drift costs: twenty columns of a hundred thousand rows, beside Evidently and NannyML on the same data."""

from __future__ import annotations

import statistics
import time

import psutil

from bench import peers
from bench.columns import statistic
from bench.flights import TRAINING, Columns, flights, twenty
from bench.rows import Row
from modelstack.monitoring.bulk import sealed
from modelstack.monitoring.drift.shift import DriftDetector, Promise

_PROMISE = Promise(0.05, 1000)
_LATER = 100_000


def rows() -> list[Row]:
    """The peers' CPU over ours, and how memory grows."""
    columns, _ = flights()
    known, later = (peers.as_read(twenty(columns, number)) for number in (TRAINING, _LATER))
    ours = cost_ms(known, later)
    given = {
        f"{side}/{name}": values
        for side, part in (("training", known), ("later", later))
        for name, values in part.items()
    }
    grown = "from 10 thousand to 10 million rows of 20 columns"
    return [
        Row("drift_rss_growth", round(rss_growth_mb(), 2), "MB", "< 5", grown),
        _times("evidently", "evidently_drift", 50, ours, given),
        _times("nannyml", "nannyml_drift", 20, ours, given),
    ]


def _times(peer: str, program: str, goal: int, ours: float, given: Columns) -> Row:
    told = peers.ask(peer, program, given)
    theirs = 1000 * told["seconds"]
    beside = f"20 columns of {_LATER:,} rows, CPU: {ours:.0f} ms, {peer} {theirs:,.0f} ms"
    if "alone" in told:
        beside += f"; its default distance alone, without the rest of what ours tells, {1000 * told['alone']:,.0f} ms"
    return Row(f"drift_vs_{peer}", round(theirs / ours, 1), "ratio", f">= {goal}", beside)


def cost_ms(known: Columns, later: Columns, times: int = 7) -> float:
    """CPU of counting columns and judging them, median, ms."""
    profile, null = sealed(known)
    spent: list[float] = []
    for _ in range(times):
        begun = time.process_time()
        DriftDetector(profile, null, _PROMISE).take(statistic(profile, later))
        spent.append(1000 * (time.process_time() - begun))
    return statistics.median(spent)


def rss_growth_mb(fewer: int = 10_000, more: int = 10_000_000, chunk: int = 100_000) -> float:
    """How much resident memory grows from so few rows to so many, counted chunk by chunk, MB."""
    columns, _ = flights()
    profile, null = sealed(twenty(columns, TRAINING))
    rows, detector, process = twenty(columns, chunk), DriftDetector(profile, null, _PROMISE), psutil.Process()
    detector.take(statistic(profile, {name: values[:fewer] for name, values in rows.items()}))
    detector.take(statistic(profile, rows))  # one chunk's own memory is not growth
    before = process.memory_info().rss
    for _ in range(fewer + chunk, more, chunk):
        detector.take(statistic(profile, rows))
    return (process.memory_info().rss - before) / 1e6
