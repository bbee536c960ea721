"""Drift: how often it is seen where there is none, how soon where there is some, and what it costs.

    python -m bench.drift        # print the rows; ADWIN's delays need river, see `adwin_delays`

Flights in random order are data without drift, whose rows are independent. Whole days in random order keep what the
flights of a day share. Injected drift is a numeric feature moved by half a standard deviation, or two codes swapped.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import psutil
from numpy.typing import NDArray

from bench.drift_peers import Adwin, Columns, TwoSample
from bench.rows import Row
from model import data, training
from model.parameters import parse
from monitoring.bulk import DAY, sealed, statistic
from monitoring.conformal import Calibration, Detector
from monitoring.profile import Profile
from monitoring.shift import DriftDetector, Finding, Null, Promise
from monitoring.statistic import Statistic

ALPHA = 0.05
WINDOWS = 1000
ROWS = 25  # a window of independent rows
TRAINING = 49_674  # rows: those of January and February


class Watcher(Protocol):
    """What looks for drift, window by window: ours or a peer's."""

    rows: int
    """Rows of a window."""

    def update(self, window: Columns) -> bool:
        """Take a window, shape (rows,) each; whether drift is told now."""
        ...


class Ours:
    """Our detector, sealed on training rows in order of arrival, one block a window."""

    rows = ROWS

    def __init__(self, profile: Profile, null: Null, promise: Promise) -> None:
        self._profile, self._detector = profile, DriftDetector(profile, null, promise)

    def update(self, window: Columns) -> bool:
        return self.judge(statistic(self._profile, window)).alarm

    def judge(self, block: Statistic) -> Finding:
        return self._detector.take(block)


@lru_cache(maxsize=1)
def flights() -> tuple[Columns, NDArray[np.float64]]:
    """The flights of the whole year and their times, epoch seconds."""
    until = {"train_until": "2013-12-31", "evaluate_from": "2013-12-31"}
    rows = data.training(replace(parse({}), **until))
    return rows.columns, np.asarray(rows.event_time.astype(np.int64), dtype=np.float64)


def picked(columns: Columns, places: NDArray[Any]) -> Columns:
    """Some rows of all columns."""
    return {name: values[places] for name, values in columns.items()}


def shuffled(seed: int) -> tuple[Columns, Columns]:
    """All flights in random order: as many to train on as January and February had, and the rest."""
    columns, times = flights()
    order = np.random.default_rng(seed).permutation(len(times))
    return picked(columns, order[:TRAINING]), picked(columns, order[TRAINING:])


def windows(columns: Columns, rows: int) -> Iterator[Columns]:
    """Consecutive windows."""
    number = len(next(iter(columns.values())))
    for start in range(0, number - rows + 1, rows):
        yield {name: values[start : start + rows] for name, values in columns.items()}


# False alarms


@dataclass(frozen=True)
class Quiet:
    """What was told where nothing had changed.

    Attributes:
        runs: Runs of `windows` each, every one started anew.
        windows: Windows a run.
        rung: In how many runs it rang at least once.
    """

    runs: int
    windows: int
    rung: int


def on_shuffled_rows(runs: int, alpha: float = ALPHA, seed: int = 1) -> Quiet:
    """Flights in random order, in windows of 25, for all features at once."""
    rung = done = 0
    while done < runs:
        known, later = shuffled(seed + done)
        profile, null = sealed(known)
        each = windows(later, ROWS)
        while done < runs:
            stretch = [window for window, _ in zip(each, range(WINDOWS), strict=False)]
            if len(stretch) < WINDOWS:
                break
            watcher = Ours(profile, null, Promise(alpha, WINDOWS))
            rung += any(watcher.update(window) for window in stretch)
            done += 1
    return Quiet(runs, WINDOWS, rung)


def on_shuffled_days(runs: int, alpha: float = ALPHA, seed: int = 1, keep: int = 1) -> Quiet:
    """Days in random order, `keep` of them together: 59 to train on, and the other days of the year."""
    columns, times = flights()
    day = np.floor_divide(times, DAY).astype(int)
    places = np.split(np.arange(len(day)), np.flatnonzero(np.diff(day)) + 1)
    rung = 0
    for run in range(runs):
        starts = np.random.default_rng(seed + run).permutation(np.arange(0, len(places), keep))
        order = [one for start in starts for one in range(start, min(start + keep, len(places)))]
        known = np.concatenate([places[one] for one in order[:59]])
        asked: Any = np.repeat(np.arange(59) * DAY, [len(places[one]) for one in order[:59]])
        profile, null = sealed(picked(columns, known), asked)
        watcher = Ours(profile, null, Promise(alpha, null.blocks_a_year or WINDOWS))
        days = (places[one] for one in order[59:] if len(places[one]) >= null.cut.rows)
        rung += any(watcher.update(picked(columns, one)) for one in days)
    return Quiet(runs, len(places) - 59, rung)


def on_persistent_scores(runs: int, follows: float, days: int = 365, alpha: float = ALPHA, seed: int = 1) -> Quiet:
    """Scores of days that follow from the day before, their persistence estimated on 59 of them: one detector."""
    source = np.random.default_rng(seed)
    rung = 0
    for _ in range(runs):
        noise = source.standard_normal(59 + days + 50) * np.sqrt(1 - follows**2)
        for place in range(1, len(noise)):
            noise[place] += follows * noise[place - 1]
        scores = noise[50:].tolist()
        detector = Detector(Calibration.of(scores[:59], two_sided=True))
        for score in scores[59:]:
            detector.take(score)
            if detector.mean_wealth >= days / alpha:
                rung += 1
                break
    return Quiet(runs, days, rung)


# Delay


def moved(feature: str, training: Columns, deviations: float = 0.5) -> Callable[[Columns], Columns]:
    """Move a numeric feature by so many standard deviations of training."""
    step = deviations * float(np.nanstd(training[feature]))
    return lambda window: {**window, feature: window[feature] + step}


def swapped(feature: str, one: str, other: str) -> Callable[[Columns], Columns]:
    """Give two codes each other's name."""

    def change(window: Columns) -> Columns:
        values = window[feature]
        return {**window, feature: np.where(values == one, other, np.where(values == other, one, values))}

    return change


def delay(watcher: Watcher, later: Columns, change: Callable[[Columns], Columns], before: int = 1000) -> int | None:
    """Rows until drift is told, after `before` rows without; None when it was told before, or never."""
    for count, window in enumerate(windows(later, watcher.rows)):
        seen = count * watcher.rows
        if watcher.update(change(window) if seen >= before else window):
            return seen + watcher.rows - before if seen >= before else None
    return None


def delays(
    make: Callable[[Columns], Watcher],
    change_of: Callable[[Columns], Callable[[Columns], Columns]],
    trials: int,
    most: int,
) -> list[int]:
    """The delay in rows, by trial; a drift that is not told within `most` rows counts as `most`."""
    known, later = shuffled(7)
    found: list[int] = []
    for trial in range(trials):
        part = {name: values[trial * (most + 1000) : (trial + 1) * (most + 1000)] for name, values in later.items()}
        found.append(delay(make(known), part, change_of(known)) or most)
    return found


CHANGES: Mapping[str, Callable[[Columns], Callable[[Columns], Columns]]] = {
    "temperature_half_sd": lambda training: moved("temperature", training),
    "distance_half_sd": lambda training: moved("distance", training),
    "carrier_swap": lambda _: swapped("carrier", "UA", "MQ"),
}


def our_delays(trials: int = 40, most: int = 3000) -> Mapping[str, list[int]]:
    """Rows until our detector tells each change."""
    known, _ = shuffled(7)
    profile, null = sealed(known)
    promise = Promise(ALPHA, WINDOWS)
    return {name: delays(lambda _: Ours(profile, null, promise), of, trials, most) for name, of in CHANGES.items()}


def two_sample_delays(
    trials: int = 40, most: int = 3000, sizes: Sequence[int] = (50, 100, 150, 200, 300)
) -> Mapping[str, list[int]]:
    """Rows until a two-sample test tells each change, with the window that suits it best on average."""
    found: dict[str, list[int]] = {}
    made: dict[int, TwoSample] = {}

    def make(rows: int) -> Callable[[Columns], Watcher]:
        def one(training: Columns) -> Watcher:
            if rows not in made:
                made[rows] = TwoSample(training, rows, WINDOWS * ROWS, ALPHA)
            return made[rows]

        return one

    for name, of in CHANGES.items():
        by_size = [delays(make(rows), of, trials, most) for rows in sizes]
        found[name] = min(by_size, key=statistics.fmean)
    return found


def adwin_delta(runs: int = 20, deltas: Sequence[float] = (0.05, 0.01, 2e-3, 2e-4, 2e-5, 2e-6)) -> float:
    """The largest delta of the grid at which ADWIN rings in no more drift-free runs than ours may."""
    known, later = shuffled(8)
    length = WINDOWS * ROWS // 2  # half as long, twice as many: they need not be whole years for a rate
    for delta in deltas:
        rung = 0
        for run in range(runs):
            start = run * length % (len(next(iter(later.values()))) - length)
            part = {name: values[start : start + length] for name, values in later.items()}
            rung += Adwin(known, delta, ROWS).update(part)
        if rung / runs <= ALPHA / 2:
            return delta
    return deltas[-1]


def adwin_delays(delta: float, trials: int = 40, most: int = 3000) -> Mapping[str, list[int]]:
    """Rows until ADWIN tells each change."""
    return {
        name: delays(lambda training: Adwin(training, delta, ROWS), of, trials, most) for name, of in CHANGES.items()
    }


# Cost, and the real year


def twenty(columns: Columns, rows: int = 100_000) -> Columns:
    """Twenty columns of so many rows: the flights' features, and four of them once more."""
    names = [*columns, *list(columns)[3:7]]
    source = np.random.default_rng(3).integers(0, len(next(iter(columns.values()))), rows)
    return {f"{place}_{name}": columns[name][source] for place, name in enumerate(names)}


def cost_ms(rows: int = 100_000, times: int = 7) -> float:
    """CPU of counting twenty columns and of their distances from training, median, ms."""
    columns, _ = flights()
    profile, null = sealed(twenty(columns, TRAINING))
    later = twenty(columns, rows)
    spent: list[float] = []
    for _ in range(times):
        begun = time.process_time()
        DriftDetector(profile, null, Promise(ALPHA, WINDOWS)).take(statistic(profile, later))
        spent.append(1000 * (time.process_time() - begun))
    return statistics.median(spent)


@dataclass(frozen=True)
class Alarm:
    """A feature, or the whole (an empty name), that began or ceased to be drifted at the end of a day."""

    day: str
    feature: str
    on: bool


def real_year(train_until: str = "2013-03-01", alpha: float = ALPHA) -> list[Alarm]:
    """Which alarms the year gives, day by day, after a model trained on the flights before."""
    columns, times = flights()
    first = int(np.searchsorted(times, np.datetime64(train_until, "s").astype(float)))
    profile, null = sealed({name: values[:first] for name, values in columns.items()}, times[:first])
    watcher = Ours(profile, null, Promise(alpha, null.blocks_a_year or WINDOWS))
    ends = [*(np.flatnonzero(np.diff(np.floor_divide(times[first:], DAY))) + first + 1).tolist(), len(times)]
    on: set[str] = set()
    found: list[Alarm] = []
    waiting = Statistic(profile)
    for start, end in zip([first, *ends[:-1]], ends, strict=True):
        waiting.merge(statistic(profile, {name: values[start:end] for name, values in columns.items()}))
        if waiting.rows < null.cut.rows:
            continue
        finding, waiting = watcher.judge(waiting), Statistic(profile)
        now = {*finding.drifted, *([""] if finding.alarm else [])}
        day = str(np.datetime64(int(times[end - 1]), "s").astype("datetime64[D]"))
        found += [Alarm(day, name, name in now) for name in sorted(now ^ on)]
        on = now
    return found


def losses(train_until: str = "2013-03-01") -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times and log-losses of the flights after training, by the model trained on those before."""
    chosen = replace(
        parse({"folds": 0}), train_until=train_until, evaluate_from=train_until, evaluate_until="2013-12-31"
    )
    trained, later = training.train(data.training(chosen), chosen, lambda _: None), data.evaluation(chosen)
    probability = trained.estimator.predict_proba(later.table)[:, 1]
    loss = -np.log(np.where(later.label, probability, 1 - probability))
    return np.asarray(later.event_time.astype(np.int64), dtype=np.float64), loss


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


def rss_growth_mb(fewer: int = 10_000, more: int = 10_000_000, chunk: int = 100_000) -> float:
    """How much resident memory grows from so few rows to so many, counted chunk by chunk, MB."""
    columns, _ = flights()
    profile, _ = sealed(twenty(columns, TRAINING))
    rows, whole, process = twenty(columns, chunk), Statistic(profile), psutil.Process()
    whole.merge(statistic(profile, {name: values[:fewer] for name, values in rows.items()}))
    whole.merge(statistic(profile, rows))  # one chunk's own memory is not growth
    before = process.memory_info().rss
    while whole.rows < more:
        whole.merge(statistic(profile, rows))
    return (process.memory_info().rss - before) / 1e6


def rows() -> list[Row]:
    """Every row that needs no peer."""
    quiet, days = on_shuffled_rows(40), on_shuffled_days(40)
    ours, theirs = our_delays(), two_sample_delays()
    ratios = {name: statistics.fmean(ours[name]) / statistics.fmean(theirs[name]) for name in ours}
    told = "; ".join(
        f"{name}: {statistics.fmean(ours[name]):.0f} rows, two-sample test {statistics.fmean(theirs[name]):.0f}"
        for name in ours
    )
    alarms = beside_losses(real_year())
    return [
        Row(
            "false_alarms_per_1000",
            quiet.rung / quiet.runs,
            "runs of 1,000 windows that rang",
            f"<= {ALPHA}",
            f"{quiet.rung} of {quiet.runs} runs on shuffled flights, all features; whole days shuffled: {days.rung} of "
            f"{days.runs} years; on the real year, with the log-loss of the two weeks after: {alarms}",
        ),
        Row("delay_vs_two_sample", max(ratios.values()), "ratio", "<= 1", told),
        Row("drift_rss_growth", rss_growth_mb(), "MB", "< 5", "from 10 thousand to 10 million rows of 20 columns"),
        Row("drift_cpu_ms", cost_ms(), "ms", "< 100", "20 columns of 100,000 rows, counted and judged"),
    ]


if __name__ == "__main__":
    for row in rows():
        print(f"{row.name}: {row.value:g} {row.unit} (goal {row.goal}, {'met' if row.met else 'not met'}); {row.peer}")
