"""Drift: how often it is told where there is none, and when it was in the real year.

    python -m bench drift

Flights in random order are data without drift, whose rows are independent. Whole days in random order keep what the
flights of a day share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import drift_cost, drift_delay, monitor
from bench.columns import statistic
from bench.drift_delay import ALPHA, WINDOWS
from bench.flights import Alarm, by_day, date_of, flights, picked, shuffled, shuffled_days, windows
from bench.rows import Row, sized
from bench.watchers import ROWS, Ours
from model import data, training
from model.parameters import Parameters
from modelstack.monitoring.bulk import DAY, sealed
from modelstack.monitoring.drift.shift import YEAR, Promise
from modelstack.pipeline.rows import seconds, tables


@dataclass(frozen=True)
class Quiet:
    """What was told where nothing had changed.

    Attributes:
        runs: Runs of `windows` each, every one started anew.
        windows: Windows a run.
        fired: In how many runs it fired at least once.
    """

    runs: int
    windows: int
    fired: int


def on_shuffled_rows(runs: int, alpha: float = ALPHA, seed: int = 1) -> Quiet:
    """Flights in random order, in windows of 25, for all features at once."""
    fired = done = 0
    while done < runs:
        known, later = shuffled(seed + done)
        profile, null = sealed(known)
        for stretch, _ in zip(windows(later, WINDOWS * ROWS), range(runs - done), strict=False):
            watcher = Ours(profile, null, Promise(alpha, WINDOWS))
            fired += any(watcher.update(window) for window in windows(stretch, ROWS))
            done += 1
    return Quiet(runs, WINDOWS, fired)


def on_shuffled_days(runs: int, alpha: float = ALPHA, seed: int = 1, keep: int = 1) -> Quiet:
    """Days in random order, `keep` of them together: 59 to train on, and the other days of the year."""
    columns, times = flights()
    days, fired = by_day(times), 0
    for run in range(runs):
        order = shuffled_days(days, seed + run, keep)
        known, later = order[:59], order[59:]
        asked: Any = np.repeat(np.arange(59) * DAY, [len(day) for day in known])
        profile, null = sealed(picked(columns, np.concatenate(known)), asked)
        watcher = Ours(profile, null, Promise(alpha, YEAR / null.cut.span))
        fired += any(watcher.update(picked(columns, day)) for day in later if len(day) >= null.cut.rows)
    return Quiet(runs, len(days) - 59, fired)


def real_year(train_until: str = "2013-03-01", alpha: float = ALPHA) -> list[Alarm]:
    """Which alarms the year gives, day by day, after a model trained on the flights before."""
    columns, times = flights()
    first = int(np.searchsorted(times, np.datetime64(train_until, "s").astype(float)))
    profile, null = sealed(picked(columns, np.arange(first)), times[:first])
    watcher = Ours(profile, null, Promise(alpha, YEAR / null.cut.span))
    on: set[str] = set()
    found: list[Alarm] = []
    start = first
    for places in by_day(times[first:]):
        end = first + int(places[-1]) + 1
        if end - start < null.cut.rows:
            continue
        finding = watcher.judge(statistic(profile, picked(columns, np.arange(start, end))))
        start, day = end, date_of(float(times[end - 1]))
        now = {*finding.drifted, *([""] if finding.alarm else [])}
        found += [Alarm(day, name in now, name) for name in sorted(now ^ on)]
        on = now
    return found


def losses(train_until: str = "2013-03-01") -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times and log-losses of the flights after training, by the model trained on those before."""
    start = date.fromisoformat(train_until)
    chosen = Parameters(folds=0, train_until=start, evaluate_from=start, evaluate_until=date(2013, 12, 31))
    rows = tables(data, chosen)
    trained, later = training.train(rows.training, chosen, lambda _: None), rows.evaluation
    probability = trained.estimator.predict_proba(later.table)[:, 1]
    loss = -np.log(np.where(np.asarray(later.label), probability, 1 - probability))
    return np.asarray(seconds(later)), loss


def beside_losses(alarms: Sequence[Alarm], days: int = 14) -> str:
    """Each alarm, and the mean log-loss of the two weeks after it; in front that of the two weeks after training."""
    times, loss = losses()

    def following(start: float) -> str:
        return f"{loss[(times >= start) & (times < start + days * DAY)].mean():.3f}"

    told = [f"training ended {following(times[0])}"]
    for item in alarms:
        start = float(np.datetime64(item.day, "s").astype(np.int64)) + DAY
        told.append(f"{item.day} {item.feature or 'whole'} {'on' if item.on else 'off'} {following(start)}")
    return "; ".join(told)


def rows() -> list[Row]:
    """Everything that is measured of drift."""
    quiet, days = on_shuffled_rows(sized(40)), on_shuffled_days(sized(40))
    false_alarms = Row(
        "false_alarms_per_1000",
        quiet.fired / quiet.runs,
        "runs of 1,000 windows that fired",
        f"<= {ALPHA}",
        f"{quiet.fired} of {quiet.runs} runs on shuffled flights, all features; whole days shuffled: {days.fired} of "
        f"{days.runs} years; on the real year, with the log-loss of the two weeks after: {beside_losses(real_year())}",
    )
    return [*monitor.rows(), *drift_cost.rows(), false_alarms, *drift_delay.rows()]
