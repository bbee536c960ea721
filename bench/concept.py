"""A moved concept: how soon turned labels are told, how often falsely, and which alarms the real year gives.

    python -m bench concept

Losses are log-losses of the default model on the flights after its training. Two streams have one concept until labels
are turned: the flights in random order, whose losses are independent, and whole days of flights in random order, which
keep what the flights of a day share. In their own order they have the year's.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from bench import peers, survey
from bench.drift import losses
from bench.flights import Alarm, by_day, date_of, shuffled_days
from bench.rows import Row, sized
from modelstack.monitoring.bulk import DAY, ROWS, usual
from modelstack.monitoring.labels.concept import YEAR, Bets, Tolerated, Usual
from modelstack.monitoring.labels.quality import WORST_LOG_LOSS
from modelstack.monitoring.labels.settling import Labelled
from modelstack.program.config.monitoring_settings import MonitoringSettings

ALPHA = 0.05  # probability of a false alarm within the horizon, of every detector
TURNED = 0.1
EVALUATED, FIRST_DAYS = 27_954, 31  # what the default model is evaluated on: March
Losses = NDArray[np.float64]
Flow = Sequence[Losses]
"""Losses by what is judged together at the earliest: windows of 25, or days."""


@dataclass(frozen=True)
class Kind:
    """A kind of stream.

    Attributes:
        name: Its name in rows.
        unit: What one item of a flow is.
        horizon: Items within which each detector fires falsely with a probability of at most `ALPHA`.
        before: Items before labels are turned.
        most: Items after that; a change that is not told within these counts as told after them.
        trials: Streams in which labels are turned.
        runs: Quiet streams, of half the horizon, by which ADWIN's delta is chosen.
        windows: Items that the two-sample test may take together; it gets what suits it best. (Means of fewer than ten
            days are not normal enough for a t-test to keep the promise: of single days it fires in most years.)
    """

    name: str
    unit: str
    horizon: int
    before: int
    most: int
    trials: int
    runs: int
    windows: Sequence[int]


INDEPENDENT = Kind("label_flip", "windows of 25 labels", 1000, 40, 160, 40, 20, (8, 16, 24, 32, 48))
DAYS = Kind("label_flip_days", "days of labels", 365, 10, 150, 20, 10, (10, 20, 30))


def rows() -> list[Row]:
    """Everything that is measured of a moved concept."""
    quiet = {keep: quiet_days(keep=keep, runs=sized(40)) for keep in (1, 3)}
    asked = MonitoringSettings().concept_false_alarms
    told = "; ".join(f"{n} in a row kept together: {fired} of {runs} years fired" for n, (fired, runs) in quiet.items())
    alarms = real_year()
    return [
        Row("concept_false_alarms", max(a / b for a, b in quiet.values()), "share of years", f"<= {asked}", told),
        Row("concept_alarms_of_the_year", sum(item.on for item in alarms), "alarms", "<= 3", beside_losses(alarms)),
        *(
            row
            for kind in (INDEPENDENT, DAYS)
            for row in against(replace(kind, trials=sized(kind.trials), runs=sized(kind.runs)))
        ),
        *survey.rows(),
    ]


def against(kind: Kind) -> list[Row]:
    """Ours over each other's mean delay."""
    streams = [_stream(kind, seed, turns=True) for seed in range(kind.trials)]
    ours = [our_delay(kind, *stream) for stream in streams]
    by_size = [[two_sample_delay(kind, size, *stream) for stream in streams] for size in kind.windows]
    adwin, falsely = adwin_delays(kind, streams)
    return [
        _against(kind, "delay_vs_two_sample", "two-sample test", ours, min(by_size, key=statistics.fmean)),
        _against(kind, "delay_vs_adwin", f"ADWIN, which fired in {falsely:.0%} of quiet streams", ours, adwin),
    ]


def _against(kind: Kind, name: str, peer: str, ours: Sequence[int], theirs: Sequence[int]) -> Row:
    mean, other = statistics.fmean(ours), statistics.fmean(theirs)
    missed = sum(delay >= kind.most for delay in ours), sum(delay >= kind.most for delay in theirs)
    told = (
        f"{TURNED:.0%} of labels turned: {mean:.0f} {kind.unit}, {peer}: {other:.0f}; "
        f"not told within {kind.most}: {missed[0]} and {missed[1]} of {kind.trials}"
    )
    return Row(f"{name}_{kind.name}", round(mean / other, 3), "ratio", "<= 1", told)


@lru_cache(maxsize=1)
def _year() -> tuple[NDArray[np.float64], Losses, list[NDArray[np.int64]]]:
    """Times and losses of the flights after training, and the places of each day's."""
    times, loss = losses()
    return times, np.minimum(loss, WORST_LOG_LOSS), by_day(times)


def turned(loss: Losses, source: np.random.Generator) -> Losses:
    """The losses when a share of the labels is turned: that of the other label, -log(1 - e^-loss)."""
    other = -np.log(np.maximum(-np.expm1(-loss), np.exp(-WORST_LOG_LOSS)))
    return np.where(source.random(len(loss)) < TURNED, other, loss)


def _stream(kind: Kind, seed: int, *, turns: bool, items: int | None = None) -> tuple[Flow, Flow]:
    """An evaluation and what comes after it, of one concept, or with labels turned after `before` items."""
    _, loss, days = _year()
    source = np.random.default_rng(seed)
    if kind.name == DAYS.name:
        flow = [loss[days[place]] for place in source.permutation(len(days)).tolist()]
        known, later = flow[:FIRST_DAYS], flow[FIRST_DAYS:]
    else:
        drawn = loss[source.permutation(len(loss))]
        flow = [drawn[start : start + ROWS] for start in range(0, len(drawn) - ROWS + 1, ROWS)]
        known, later = flow[: EVALUATED // ROWS], flow[EVALUATED // ROWS :]
    later = later[: items or kind.before + kind.most]
    if turns:
        later = [*later[: kind.before], *(turned(item, source) for item in later[kind.before :])]
    return known, later


def _tolerated(kind: Kind, known: Flow) -> Tolerated:
    """What ours tolerates after an evaluation: no rise to speak of, as the others tolerate none."""
    span = DAY if kind.name == DAYS.name else 1.0
    false_alarms = ALPHA * YEAR / span / kind.horizon
    return Tolerated.of(_sealed(kind, known), share=0.0, false_alarms=false_alarms, late_days=0, every=span)


def _sealed(kind: Kind, known: Flow) -> Usual:
    """What an evaluation seals."""
    times = np.repeat(np.arange(len(known), dtype=np.float64) * DAY, [len(item) for item in known])
    found = usual(np.concatenate(known), WORST_LOG_LOSS, times if kind.name == DAYS.name else None)
    if found is None:
        raise ValueError(f"got {len(known)} blocks to calibrate on, which are too few")
    return found


def our_told(tolerated: Tolerated, later: Flow) -> int | None:
    """After how many items it is told; None when it never is."""
    seen, span = Bets(), tolerated.cut.span
    for place, item in enumerate(later):
        seen.add(tolerated, (Labelled(loss, place * span, place * span) for loss in item.tolist()))
        seen.judge(tolerated)
        if seen.evidence(tolerated) >= 1:
            return place + 1
    return None


def our_delay(kind: Kind, known: Flow, later: Flow) -> int:
    """Items until ours tells that labels were turned."""
    return _delay(kind, our_told(_tolerated(kind, known), later))


def two_sample_delay(kind: Kind, size: int, known: Flow, later: Flow) -> int:
    """Items until a one-sided t-test tells it: of losses, or where they are not independent of the days' means.

    Bonferroni's correction over windows of `size` items gives it the same promise.
    """

    def values(flow: Flow) -> Losses:
        return np.array([item.mean() for item in flow]) if kind.name == DAYS.name else np.concatenate(flow)

    before, bound = values(known), ALPHA * size / kind.horizon
    for end in range(size, len(later) + 1, size):
        now = values(later[end - size : end])
        found: Any = scipy.stats.ttest_ind(now, before, equal_var=False, alternative="greater")
        if found.pvalue < bound:
            return _delay(kind, end)
    return kind.most


def adwin_delays(kind: Kind, streams: Sequence[tuple[Flow, Flow]]) -> tuple[list[int], float]:
    """Items until River's ADWIN tells it, with the largest delta that keeps the promise; how often that fired falsely.

    It is told losses scaled to 0 to 1, and starts on the last of the evaluation. Only a rise counts.
    """
    quiet = [_stream(kind, 1000 + run, turns=False, items=kind.horizon // 2)[1] for run in range(kind.runs)]
    changed = [later for _, later in streams]
    known = _stream(kind, 999, turns=False)[0]
    told = peers.ask(
        "river",
        "adwin",
        {
            "warm": _column(known)[-5000:],
            "quiet": _table(quiet),
            "moved:flip": _table(changed),
            "alpha": np.array(ALPHA / 2),
            "rises": np.array(1),
        },
    )
    found: Sequence[int | None] = told["rows"]["flip"]
    return [_delay(kind, _item(later, row)) for later, row in zip(changed, found, strict=True)], told["falsely"]


def _column(flow: Flow) -> NDArray[np.float64]:
    return (np.concatenate(flow) / WORST_LOG_LOSS)[:, None]


def _table(flows: Sequence[Flow]) -> NDArray[np.float64]:
    """Streams of one length, shape (streams, rows, 1): NaN, which is no value, fills them up."""
    columns = [_column(flow) for flow in flows]
    longest = max(map(len, columns))
    return np.stack([np.pad(each, ((0, longest - len(each)), (0, 0)), constant_values=np.nan) for each in columns])


def _item(flow: Flow, row: int | None) -> int | None:
    """The number of items until the one that holds a row has ended."""
    if row is None:
        return None
    return int(np.searchsorted(np.cumsum([len(item) for item in flow]), row, side="right")) + 1


def _delay(kind: Kind, told: int | None) -> int:
    """Items from the change on; a change that is told before it is there counts as not told."""
    return kind.most if told is None or told <= kind.before else told - kind.before


def quiet_days(keep: int, runs: int = 40) -> tuple[int, int]:
    """In how many years of days in random order, `keep` of them together, the alarm fired by default; of how many."""
    _, loss, days = _year()
    settings, fired = MonitoringSettings(), 0
    for run in range(runs):
        flow = [loss[places] for places in shuffled_days(days, run, keep)]
        tolerated = _by_default(flow[:FIRST_DAYS], settings)
        fired += our_told(tolerated, flow[FIRST_DAYS:]) is not None
    return fired, runs


def _by_default(known: Flow, settings: MonitoringSettings) -> Tolerated:
    share, false_alarms = settings.max_loss_rise, settings.concept_false_alarms
    return Tolerated.of(_sealed(DAYS, known), share=share, false_alarms=false_alarms, late_days=0, every=DAY)


def real_year(settings: MonitoringSettings | None = None) -> list[Alarm]:
    """Which alarms the year gives to the default model, which was evaluated on March, from April on."""
    times, loss, days = _year()
    chosen = settings or MonitoringSettings()
    tolerated, seen, on = _by_default([loss[places] for places in days[:FIRST_DAYS]], chosen), Bets(), False
    found: list[Alarm] = []
    for places in days[FIRST_DAYS:]:
        told = zip(loss[places].tolist(), times[places].tolist(), strict=True)
        seen.add(tolerated, (Labelled(one, at, at) for one, at in told))
        seen.judge(tolerated)
        if (seen.evidence(tolerated) >= 1) != on:
            on = not on
            found.append(Alarm(date_of(float(times[places[0]])), on))
    return found


def beside_losses(alarms: Sequence[Alarm], span: int = 14) -> str:
    """Each alarm with the mean log-loss of the two weeks before and after it, beside that of the evaluation."""
    times, loss, days = _year()

    def mean(start: float) -> float:
        return float(loss[(times >= start) & (times < start + span * DAY)].mean())

    told = [f"evaluation {loss[np.concatenate(days[:FIRST_DAYS])].mean():.3f}"]
    for item in alarms:
        begun = float(np.datetime64(item.day, "s").astype(np.int64))
        before, after = mean(begun - span * DAY), mean(begun)
        told.append(f"{item.day} {'on' if item.on else 'off'}: {before:.3f} in the two weeks before, then {after:.3f}")
    return "; ".join(told)
