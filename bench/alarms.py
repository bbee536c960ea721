"""How often do alarms and judge together roll back a challenger that is no worse? Simulated trials; no cloud is needed.

python -m bench alarms

Trials as in `bench.judge`: 90 windows of 200 requests, 5%, 25% and 50% of them to the challenger. A window is a period
of the alarms, which have the rule and the tolerated shares that the program declares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench import dependent
from bench.judge import ALPHA, EQUAL, METRICS, WEIGHTS, Model, share, trial
from bench.rows import Row
from modelstack.monitoring.alarms.alike import compared, fails_alike
from modelstack.rollout.core.failing import Counted
from modelstack.rollout.judge.metrics import Tally, Window
from modelstack.rollout.judge.verdict import judge
from modelstack.services.declaration.alarm_thresholds import evidence, least
from modelstack.services.declaration.alarms import MAY_BE_SLOW

TRIALS = 300
FAILING = 0.05  # the share of failures that is tolerated, as by default
_STEP = 30  # windows of each step
_LOOKS = _STEP * len(WEIGHTS)
_BEFORE = 120  # windows before the trial in which the champion's failures are known
_NATS = evidence(_LOOKS, ALPHA)
_OUTAGE = range(40, 50)  # windows in which both fail
_DOWN = Model(errors=0.5)

Random = np.random.Generator


@dataclass(frozen=True)
class Ended:
    """What rolled a simulated trial back, or would have."""

    judge: bool
    alarm: bool
    alone: bool  # an alarm that asks for no champion


def _counted(tally: Tally) -> Counted:
    return Counted(tally.total, tally.count)


def _beyond(counted: Counted, tolerated: float) -> bool:
    return counted.bad > least(counted.requests, tolerated, _NATS)


def _fires(source: Random, windows: Sequence[Window], slow: float) -> tuple[bool, bool]:
    """Whether an alarm rolls the challenger back, and whether one ever fires."""
    back = fired = False
    before = False  # in which state the alarm on failures is: it acts when it begins to fire
    slows = [False, False]
    counted = [(_counted(window.challenger["errors"]), _counted(window.champion["errors"])) for window in windows]
    for at, (challenger, champion) in enumerate(counted[-_LOOKS:], len(counted) - _LOOKS):
        fires = _beyond(challenger, FAILING)
        if fires:
            fired |= not before
            seen = counted[max(0, at - _BEFORE) : at + 1]
            back |= not fails_alike(compared(seen, 1, FAILING, champion_fires=_beyond(champion, FAILING)))
        before = fires
        slows.append(
            _beyond(Counted(source.binomial(int(challenger.requests), slow), challenger.requests), MAY_BE_SLOW)
        )
        if sum(slows[-3:]) >= 2:  # 2 of 3; the champion is not slow
            back = fired = True
    return back, fired


def _ended(source: Random, windows: Sequence[Window], slow: float) -> Ended:
    seen = windows[-_LOOKS:]
    starts = tuple(window.start for window in seen[::_STEP])
    metrics = [metric for metric in METRICS if metric.name in seen[0].champion]
    worse = judge(seen, metrics=metrics, alpha=ALPHA, starts=starts, segments=len(WEIGHTS)).answer == "worse"
    return Ended(worse, *_fires(source, windows, slow))


def _equal(source: Random, model: Model) -> list[Window]:
    weights = [weight for weight in WEIGHTS for _ in range(_STEP)]
    return trial(source, model, weights, 200, champion=model)


def _in_outage(source: Random, model: Model) -> list[Window]:
    """The same, but for ten windows in which half of the requests fail, whoever answers."""
    windows = _equal(source, model)
    for at in _OUTAGE:
        share = WEIGHTS[at // _STEP]
        windows[at] = trial(source, _DOWN, [share], 200, champion=_DOWN, start=at)[0]
    return windows


def _bursts(source: Random, model: Model) -> list[Window]:
    """Each of two instances of a version fails a third of its requests for 30 s in ten minutes, also before."""
    shares = (*[0] * (_BEFORE // _STEP), *WEIGHTS)
    world = dependent.stalling(50, instances=2, shares=shares, minutes=_STEP, stall=30, stalled=0.05, hit=0.35, fails=1)
    return dependent.windows(world, source)


def _row(name: str, what: str, ends: Sequence[Ended]) -> Row:
    back = sum(end.judge or end.alarm for end in ends)
    judged, alarmed, alone = (sum(getattr(end, by) for end in ends) for by in ("judge", "alarm", "alone"))
    beside = f"By the judge {judged}, by an alarm {alarmed}; by alarms that do not look at the champion {alone}"
    return share(name, what, back, len(ends), goal=f"<= {ALPHA}", beside=beside)


def rows(trials: int = TRIALS) -> list[Row]:
    """How often a challenger that is no worse is rolled back, by whichever comes first."""
    just = replace(EQUAL, errors=FAILING)
    cases = [
        ("false_rollback_rate_with_alarms", "equal models", EQUAL, MAY_BE_SLOW / 2, _equal),
        ("false_rollback_rate_as_tolerated", "equal models, as bad as the alarms tolerate", just, MAY_BE_SLOW, _equal),
        (
            "false_rollback_rate_in_outage",
            "equal models, in an outage of ten windows",
            EQUAL,
            0.0,
            _in_outage,
        ),
        (
            "false_rollback_rate_bursts",
            "equal models whose instances fail for 30 s each ten minutes",
            EQUAL,
            0.0,
            _bursts,
        ),
    ]
    found: list[Row] = []
    for number, (name, what, model, slow, play) in enumerate(cases):
        source = np.random.default_rng((70, number))
        found.append(_row(name, what, [_ended(source, play(source, model), slow) for _ in range(trials)]))
    return found
