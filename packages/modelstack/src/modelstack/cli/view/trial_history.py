"""The history of a trial: the requested weights, and the judge's findings at each time.

The journal stores when each step began, and the metrics every window. So findings at an earlier time are computed again
from the windows that were closed then, and cached, because closed windows never change.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from modelstack.cli.view.trial import MetricView, evidence_of
from modelstack.rollout.controller.notice import release_of
from modelstack.rollout.core.decision import TrialObservations, judged
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.plan import Plan
from modelstack.rollout.core.release import variant
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.core.verdict import Outcome
from modelstack.rollout.judge.metrics import Window

MOST = 60
"""Times at which a trial is judged again, at most, in addition to those of its decisions."""


@dataclass(frozen=True)
class Pair:
    """The variants of a trial."""

    champion: str
    challenger: str


@dataclass(frozen=True)
class WeightChange:
    """The challenger's requested percent of traffic, and of copies, from a time on."""

    at: float
    percent: float
    copies: float
    text: str


@dataclass(frozen=True)
class EvidenceAt:
    """The evidence on each metric at a time, epoch seconds."""

    at: float
    evidence: tuple[MetricView, ...]


def pair(state: RolloutState) -> Pair | None:
    """The variants of the present or last trial; None where there was none, or it is no longer known."""
    if state.champion and state.challenger:
        both = Pair(state.champion.variant, state.challenger.variant)
        return both if both.champion != both.challenger else None
    if outcome(state) is None:
        return None
    challenger = variant(release_of(state.rollout_id))
    others = [name for event in _events(state) for name in event.weights if name != challenger]
    return Pair(others[0], challenger) if others else None


def outcome(state: RolloutState) -> str | None:
    """How the last trial ended; None while it is under way. What came after it, as a rollback, is not part of it."""
    found = _end(state)
    return found[0] if found else None


def ended(state: RolloutState) -> float | None:
    """When the last trial ended, epoch seconds; None while it is under way."""
    found = _end(state)
    return found[1] if found else None


def _end(state: RolloutState) -> tuple[str, float] | None:
    if state.challenger:
        return None
    tried, last, verdict = release_of(state.rollout_id), _events(state)[-1:], state.verdict
    if last and _ends(last[0], tried):
        return last[0].kind, last[0].at
    known = verdict is not None and (verdict.rollout_id, verdict.release) == (state.rollout_id, tried)
    return (verdict.outcome, verdict.at) if verdict and known else None


def asked(state: RolloutState, challenger: str) -> list[WeightChange]:
    """The requested weights, oldest first."""
    return [
        WeightChange(event.at, event.weights.get(challenger, 0), event.numbers.get("copies", 0), event.text)
        for event in _events(state)
    ]


def _events(state: RolloutState) -> list[Event]:
    """The events of the present or last trial, up to its end."""
    events = [event for event in state.history if event.rollout_id == state.rollout_id]
    tried = release_of(state.rollout_id)
    last = next((place for place, event in enumerate(events) if _ends(event, tried)), len(events))
    return events[: last + 1]


def _ends(event: Event, tried: str) -> bool:
    return event.release == tried and event.kind in get_args(Outcome)


def times(begin: float, end: float, window: float) -> list[float]:
    """Evenly spaced times, epoch seconds, at most `MOST`. The spacing only doubles, so cached findings stay useful."""
    apart = window
    while (end - begin) / apart > MOST:
        apart *= 2
    return [begin + apart * number for number in range(1, int((end - begin) / apart) + 1)]


@dataclass
class Memory:
    """A cache of the last trial's evidence, by time."""

    _rollout: str = ""
    _found: dict[float, tuple[MetricView, ...]] = field(default_factory=dict[float, tuple[MetricView, ...]])

    def course(self, state: RolloutState, seen: TrialObservations, end: float) -> list[EvidenceAt]:
        """The evidence from the first step to `end`, oldest first; nothing without windows."""
        plan, windows = state.plan, seen.windows
        if plan is None or plan.at_once or not state.step_starts or not windows:
            return []
        if self._rollout != state.rollout_id:
            self._rollout, self._found = state.rollout_id, {}
        begin = state.step_starts[0]
        decided = (event.at for event in _events(state) if begin < event.at < end)  # a bound was reached
        asked_at = sorted({*times(begin, end, plan.window_seconds), *decided})
        self._found = {at: self._found.get(at) or _at(plan, state, windows, at) for at in asked_at}
        return [EvidenceAt(at, evidence) for at, evidence in self._found.items()]


def _at(plan: Plan, state: RolloutState, windows: Sequence[Window], at: float) -> tuple[MetricView, ...]:
    """From the windows that were closed, and the steps that had begun, at a time."""
    closed = bisect_right(windows, at - plan.settle, key=lambda window: window.start + window.seconds)
    begun = bisect_left(state.step_starts, at)  # a step that begins now was decided on earlier evidence
    reductions = tuple(item.as_of(at) for item in state.reductions if item.at < at)
    then = replace(state, step=begun - 1, step_starts=state.step_starts[:begun], reductions=reductions)
    findings = judged(plan, then, TrialObservations(tuple(windows[:closed])))
    return evidence_of((item.reason for item in findings.each), plan.metrics, state.pivots) if findings else ()
