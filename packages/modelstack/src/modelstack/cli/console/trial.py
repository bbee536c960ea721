"""The figures of a trial: its weights over time, and its evidence against what is needed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass

from modelstack.cli.console.figure import Curve, Figure, Limit, Mark, Point, Span, Style, Version
from modelstack.cli.view.trial import MetricView, Proof
from modelstack.cli.view.trial_history import EvidenceAt, Pair, WeightChange, outcome
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.state import Phase, RolloutState

TELLING = frozenset(
    {"promoted", "rolled_back", "failed", "withdrawn", "superseded", "held", "weights", "reduced", "left_to_judge"}
    | {"rolling_back"}
)
"""Kinds of events that every time axis marks."""
NO_COLOURS: Mapping[str, str] = {}
_WORSE = Style("alarm", (7, 3), "M0 4.5L4.5-3.5H-4.5Z")
_NOT_WORSE = Style("ok", (), "M0-4.5L4.5 3.5H-4.5Z")
_BETTER = Style("2", (2, 2), "M0-5L5 0L0 5L-5 0Z")
_LEAST = 1e-2  # evidence below is drawn here: how strongly it speaks against does not matter
_BEYOND = 100.0  # times what is needed: more is drawn here
_AIR = 0.02  # share of the time left free at both ends


@dataclass(frozen=True)
class StepView:
    """A step of the plan: its share in percent, and its state: `done`, `now`, `failed`, `ahead`, or `not reached`.

    A step that an ended trial did not pass is `failed` if it was rolled back in it, or will be, and else `stopped`.
    """

    share: int
    copies: bool
    bake_seconds: float
    approve: bool
    state: str


def steps(state: RolloutState) -> list[StepView]:
    """The steps of the present or last rollout."""
    end, planned = outcome(state), state.plan.steps if state.plan else ()
    if state.phase is Phase.ROLLING_BACK:  # decided, and not confirmed by the endpoint yet
        end = state.decided.outcome if state.decided else "rolled_back"
    words = "now", "ahead"
    if end is not None:
        words = "failed" if end in {"rolled_back", "failed"} else "stopped", "not reached"
    begun = state.step if state.challenger else len(state.step_starts) - 1
    done = len(planned) if end == "promoted" else begun
    return [
        StepView(
            step.weight, step.shadow, step.bake_seconds, step.approve, "done" if number < done else words[number > done]
        )
        for number, step in enumerate(planned)
    ]


def span(state: RolloutState, now: float, end: float | None) -> Span:
    """The time range of a rollout, with some margin."""
    until = now if end is None else end
    air = max(_AIR * (until - state.started_at), 1.0)
    return Span(state.started_at - air, until + air)


def marks(events: Iterable[Event]) -> list[Mark]:
    """The events of releases, for the time axis."""
    return [Mark(event.at, event.text) for event in events if event.kind in TELLING]


def weights(
    both: Pair, asked: Sequence[WeightChange], shown: Span, until: float, of: Mapping[str, str] = NO_COLOURS
) -> Figure:
    """The requested shares, as steps over time; `of` has the colours of the variants."""
    champion_then, challenger_then = (
        Version(name, role, of.get(name, ""))
        for name, role in zip(astuple(both), ("champion", "challenger"), strict=True)
    )
    challenger = [(item.at, item.percent) for item in asked]
    challenger.append((until, challenger[-1][1] if challenger else 0.0))
    champion = tuple((at, 100.0 - percent) for at, percent in challenger)
    copies = tuple((item.at, item.copies) for item in asked)
    curves = [
        Curve("traffic", champion_then, champion),
        Curve("traffic", challenger_then, tuple(challenger)),
    ]
    if any(value for _, value in copies):
        last = (until, copies[-1][1] if challenger[-1][1] == 0 else 0.0)
        curves.append(Curve("copies", challenger_then, (*copies, last)))
    told = tuple(Mark(item.at, item.text) for item in asked)
    return Figure("Weights over time", shown, tuple(curves), unit="% of requests", step=True, marks=told)


def evidence(found: Sequence[EvidenceAt], shown: Span, told: Sequence[Mark]) -> dict[str, Figure]:
    """Metric -> its evidence over time, on a log scale against what is needed."""
    names = dict.fromkeys(item.metric for one in found for item in one.evidence)
    return {name: _of(name, found, shown, told) for name in names}


def _of(name: str, found: Sequence[EvidenceAt], shown: Span, told: Sequence[Mark]) -> Figure:
    at = [(one.at, item) for one in found for item in one.evidence if item.metric == name]
    newest = at[-1][1]
    curves = [
        Curve("worse", Version(), _points(at, lambda item: item.worse), style=_WORSE),
        Curve("not worse", Version(), _points(at, lambda item: item.not_worse), style=_NOT_WORSE),
    ]
    if newest.better:
        curves.append(Curve("better", Version(), _points(at, lambda item: item.better), style=_BETTER))
    needed = newest.worse.need, newest.not_worse.need
    limits = (Limit("rolled back from", needed[0], "alarm"), Limit("shown not worse from", needed[1], "ok"))
    return Figure(
        f"Evidence on {name}",
        shown,
        tuple(curves),
        unit="evidence",
        log=True,
        clamp=(_LEAST, _BEYOND * max(needed)),
        limits=limits,
        marks=tuple(told),
    )


def _points(at: Sequence[tuple[float, MetricView]], proof: Callable[[MetricView], Proof | None]) -> tuple[Point, ...]:
    return tuple((when, given.have) for when, item in at if (given := proof(item)) is not None)
