"""How soon is drift told? Rows until our detector, a two-sample test and ADWIN tell it, at one rate of false alarms.

Injected is a numeric feature moved by half a standard deviation of training, or two codes swapped, in flights in random
order after a thousand rows without a change. Each of the three watches every feature.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import peers
from bench.flights import Columns, part, shuffled, windows
from bench.rows import Row, sized
from bench.watchers import ROWS, Ours, TwoSample, Watcher
from modelstack.monitoring.bulk import sealed
from modelstack.monitoring.drift.shift import Promise

ALPHA = 0.05
WINDOWS = 1000
BEFORE = 1000
TRIALS, MOST = 40, 3000


def rows() -> list[Row]:
    """Ours over each other's mean delay, change by change."""
    trials = sized(TRIALS)
    ours = our_delays(trials)
    return [
        *_against("delay_vs_two_sample", "two-sample test", ours, two_sample_delays(trials)),
        *_against("delay_vs_adwin", "ADWIN", ours, adwin_delays(trials, runs=sized(20))),
    ]


def _against(name: str, peer: str, ours: Mapping[str, list[int]], theirs: Mapping[str, list[int]]) -> Iterator[Row]:
    for change, delays in ours.items():
        mean, other = statistics.fmean(delays), statistics.fmean(theirs[change])
        told = f"{mean:.0f} rows, {peer} {other:.0f}"
        yield Row(f"{name}_{change}", round(mean / other, 3), "ratio", "<= 1", told)


Change = Callable[[Columns], Columns]


def changes(training: Columns) -> Mapping[str, Change]:
    """What is injected: features moved by half a standard deviation of training, and codes with each other's name."""

    def moved(feature: str) -> Change:
        step = 0.5 * float(np.nanstd(training[feature]))
        return lambda window: {**window, feature: window[feature] + step}

    def swapped(window: Columns) -> Columns:
        values = window["carrier"]
        return {**window, "carrier": np.where(values == "UA", "MQ", np.where(values == "MQ", "UA", values))}

    return {
        "temperature_half_sd": moved("temperature"),
        "distance_half_sd": moved("distance"),
        "carrier_swap": swapped,
    }


def delays(make: Callable[[], Watcher], change: Change, trials: int, most: int) -> list[int]:
    """Rows until the change is told, by trial; one that is told before it is there, or not within `most`: `most`."""

    def delay(watcher: Watcher, later: Columns) -> int:
        for count, window in enumerate(windows(later, watcher.rows)):
            seen = count * watcher.rows
            if watcher.update(change(window) if seen >= BEFORE else window):
                return seen + watcher.rows - BEFORE if seen >= BEFORE else most
        return most

    _, later = shuffled(7)
    return [delay(make(), part(later, trial * (BEFORE + most), BEFORE + most)) for trial in range(trials)]


def our_delays(trials: int = TRIALS, most: int = MOST) -> Mapping[str, list[int]]:
    """Rows until our detector tells each change."""
    known, _ = shuffled(7)
    profile, null = sealed(known)
    promise = Promise(ALPHA, WINDOWS)
    return {
        name: delays(lambda: Ours(profile, null, promise), change, trials, most)
        for name, change in changes(known).items()
    }


def two_sample_delays(
    trials: int = TRIALS, most: int = MOST, sizes: Sequence[int] = (50, 100, 150, 200, 300)
) -> Mapping[str, list[int]]:
    """Rows until a two-sample test tells each change, with the window that suits it best on average."""
    known, _ = shuffled(7)
    tests = [TwoSample(known, rows, WINDOWS * ROWS, ALPHA) for rows in sizes]
    return {
        name: min((delays(lambda test=test: test, change, trials, most) for test in tests), key=statistics.fmean)
        for name, change in changes(known).items()
    }


def adwin_delays(trials: int = TRIALS, most: int = MOST, runs: int = 20) -> Mapping[str, list[int]]:
    """Rows until River's ADWIN tells each change, with the largest delta that keeps our promise.

    It is told values scaled by training's range, codes as their rank by frequency, and starts on the last 5,000 rows of
    training. Whether it fires falsely is tried on streams half as long as ours, for half the probability.
    """
    (known, later), (_, other) = shuffled(7), shuffled(8)
    scale = _scale(known)
    length = WINDOWS * ROWS // 2

    def stream(change: Change, start: int) -> NDArray[np.float64]:
        return np.concatenate([scale(part(later, start, BEFORE)), scale(change(part(later, start + BEFORE, most)))])

    streams = {
        f"moved:{name}": np.stack([stream(change, trial * (most + BEFORE)) for trial in range(trials)])
        for name, change in changes(known).items()
    }
    quiet = np.stack([scale(part(other, run * length, length)) for run in range(runs)])
    warm = scale({name: values[-5000:] for name, values in known.items()})
    told = peers.ask("river", "adwin", {**streams, "quiet": quiet, "warm": warm, "alpha": np.array(ALPHA / 2)})
    return {name: [_delay(row, most) for row in found] for name, found in told["rows"].items()}


def _delay(row: int | None, most: int) -> int:
    """Rows from the change to the end of the window that told it, as the others are asked."""
    return most if row is None or row < BEFORE else (row // ROWS + 1) * ROWS - BEFORE


def _scale(training: Columns) -> Callable[[Columns], NDArray[np.float64]]:
    """Makes one table of numbers, shape (rows, columns): values by training's range, codes by their rank there."""

    def one(values: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
        if values.dtype.kind == "f":
            low, high = float(np.nanmin(values)), float(np.nanmax(values))
            return lambda column: (column - low) / (high - low)
        ranked = Counter(values.tolist()).most_common()
        ranks = {code: rank / len(ranked) for rank, (code, _) in enumerate(ranked)}
        return lambda column: np.array([ranks.get(code, 1.0) for code in column.tolist()])

    scales = {name: one(values) for name, values in training.items()}
    return lambda columns: np.column_stack([scales[name](values) for name, values in columns.items()])
