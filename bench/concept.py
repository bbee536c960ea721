"""A moved concept: how soon a tenth of turned labels is told, and which alarms the real year gives.

    python -m bench.concept        # print both; ADWIN's delay needs river

Losses are log-losses of the default model on the flights after its training. In random order they have one concept
until labels are turned; in their own order they have the year's.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.drift import losses
from monitoring.concept import Bets, Tolerated
from monitoring.quality import WORST_LOG_LOSS

LABELS = 20_000  # mean labels to a false alarm
BEFORE, MOST = 2000, 10_000
Alarm = Callable[[float], bool]
"""Takes a loss; whether a change is told now."""


def ours(mean: float, rise: float = 0.0, labels: float = LABELS) -> Alarm:
    """Our detector, on a sealed mean."""
    tolerated, seen = Tolerated("LogLoss", mean * (1 + rise), WORST_LOG_LOSS, labels), Bets()

    def take(loss: float) -> bool:
        nonlocal seen
        seen = seen.take(tolerated, [(loss, 0.0)])
        return seen.evidence(tolerated) >= 1

    return take


def adwin(delta: float) -> Alarm:
    """River's ADWIN, on losses scaled to 0 to 1; only a rise counts."""
    drift: Any = import_module("river.drift")  # in the peers' own environment
    detector: Any = drift.ADWIN(delta=delta)

    def take(loss: float) -> bool:
        before = detector.estimation
        detector.update(min(loss, WORST_LOG_LOSS) / WORST_LOG_LOSS)
        return bool(detector.drift_detected) and detector.estimation > before

    return take


def turned(loss: NDArray[np.float64], source: np.random.Generator, share: float = 0.1) -> NDArray[np.float64]:
    """The losses when a share of the labels is turned: that of the other label, -log(1 - e^-loss)."""
    other = -np.log(np.maximum(-np.expm1(-loss), np.exp(-WORST_LOG_LOSS)))
    return np.where(source.random(len(loss)) < share, other, loss)


def delays(make: Callable[[float], Alarm], trials: int = 20) -> list[int]:
    """Labels until a tenth of turned labels is told; one told before they turn, or never, counts as `MOST`."""
    _, every = losses()
    every, source = np.minimum(every, WORST_LOG_LOSS), np.random.default_rng(1)
    found: list[int] = []
    for _ in range(trials):
        drawn = source.choice(every, BEFORE + MOST)
        drawn[BEFORE:] = turned(drawn[BEFORE:], source)
        alarm = make(float(every.mean()))
        told = next((place for place, loss in enumerate(drawn.tolist()) if alarm(loss)), BEFORE + MOST)
        found.append(told - BEFORE if told >= BEFORE else MOST)
    return found


def real_year(rise: float = 0.1, labels: float = 1_000_000) -> list[tuple[str, bool]]:
    """The days at whose end the alarm of a model trained on January and February began (True) or ended."""
    times, loss = losses()
    first = times < np.datetime64("2013-04-01", "s").astype(float)
    tolerated = Tolerated("LogLoss", float(loss[first].mean()) * (1 + rise), WORST_LOG_LOSS, labels)
    day, seen, on = np.floor_divide(times, 86_400), Bets(), False
    found: list[tuple[str, bool]] = []
    for one in np.unique(day):
        place = day == one
        seen = seen.take(tolerated, list(zip(loss[place].tolist(), times[place].tolist(), strict=True)))
        if (seen.evidence(tolerated) >= 1) != on:
            on = not on
            found.append((str(np.datetime64(int(one), "D")), on))
    return found


if __name__ == "__main__":
    told = delays(ours)
    print(f"10% of labels turned, {LABELS} labels to a false alarm: told after {statistics.median(told):.0f} (median)")
    for date, begins in real_year():
        print(date, "begins" if begins else "ends")
