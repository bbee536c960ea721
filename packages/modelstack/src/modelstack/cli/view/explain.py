"""The explanation of a rollout: why it ended as it did, or what it waits for. From the journal alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from modelstack.cli.errors import OperatorError
from modelstack.cli.view.snapshot import Happened, moment
from modelstack.cli.view.times import when
from modelstack.cli.view.trial import Bound, MetricView, TrialView, evidence_of, replay_bounds, trial
from modelstack.rollout.controller.commands import PLAIN, Commands
from modelstack.rollout.controller.notice import next_steps, release_of
from modelstack.rollout.core.decision import Decision
from modelstack.rollout.core.replay import outcome as replay_outcome
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.core.verdict import Outcome, Verdict
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

_BEGIN = ("preparing", "moving")
_WITHOUT_TRIAL = (Kind.FIRST, Kind.MOVED, Kind.TRIAL_SKIPPED)
_DECIDERS = {
    "judge": "the judge, on {name}",
    "replay": "the replay of captured requests, on {name}",
    "alarm": "alarm {name}",
    "person": "a person, {name}",
    "timeout": "the time, which was over without a verdict",
    "endpoint": "the endpoint, which did not come up",
    "release": "the update itself",
}


@dataclass(frozen=True)
class Turn(Happened):
    """One event, `after` so many seconds since the rollout began, and the requested weights in percent."""

    after: float = 0.0
    weights: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class Alarm:
    """The alarm that decided; value and threshold are None where CloudWatch reported none."""

    name: str
    value: float | None
    threshold: float | None
    text: str


@dataclass(frozen=True)
class Replay:
    """The result of replaying captured requests."""

    text: str
    bounds: tuple[Bound, ...]
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Story:
    """One rollout, from its start to its verdict or to now. Times are UTC, and empty when no longer in the history.

    Attributes:
        beside: The other variant with traffic; empty when there was none, or when no longer in the history.
        outcome: `running`, or how it ended.
        decided_by: The decider in words; `source` and `name` are the same as the journal stores them.
        tried: Whether it was put on trial; a first release takes over at once.
        evidence: When it was decided (or now), the deciding metric first.
        next: What a person can do now.
    """

    endpoint: str
    rollout_id: str
    release: str
    outcome: str
    summary: str
    why: str = ""
    beside: str = ""
    reason: dict[str, Any] | None = None
    decided_by: str = ""
    source: str = ""
    name: str = ""
    began: str = ""
    ended: str = ""
    tried: bool = True
    turns: tuple[Turn, ...] = ()
    evidence: tuple[MetricView, ...] = ()
    replay: Replay | None = None
    alarm: Alarm | None = None
    trial: TrialView | None = None
    next: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def explain(
    state: RolloutState, decision: Decision | None, now: float, rollout: str | None = None, commands: Commands = PLAIN
) -> Story:
    """Explain a rollout at `now`, epoch seconds: by its id or its release's, or else the present or last one.

    Without a `decision` the metrics of a running trial are unknown.

    Raises:
        OperatorError: The journal knows no such rollout; the message lists those it knows.
    """
    if not state.rollout_id:
        none = f"nothing was ever released on {state.endpoint}"
        return Story(state.endpoint, "", "", "none", none, next=(f"`{commands.pulumi_up}` releases the first version",))
    meant = _meant(state, rollout) if rollout else state.rollout_id
    verdict = _verdict(state, meant)
    if verdict is not None:
        return _ended(state, verdict, now, commands)
    return _running(state, decision, now, commands) if meant == state.rollout_id else _forgotten(state, meant)


def _verdicts(state: RolloutState) -> list[Verdict]:
    kept = (state.decided, state.verdict, state.moved, *state.rejected.values())
    return [item for item in kept if item is not None]


def _verdict(state: RolloutState, rollout_id: str) -> Verdict | None:
    found = next((item for item in _verdicts(state) if item.rollout_id == rollout_id), None)
    under_way = rollout_id == state.rollout_id and state.phase is Phase.MOVING
    return None if under_way and found is state.decided else found


def _meant(state: RolloutState, word: str) -> str:
    known = sorted({item.rollout_id for item in (*state.history, *_verdicts(state), state) if item.rollout_id})
    bare = word.removeprefix("v-")
    matching = [item for item in known if bare in (item, release_of(item))]
    if matching:
        return matching[-1]
    raise OperatorError(
        f"rollout {word}: the journal of {state.endpoint} does not know it; it knows: {', '.join(known)}",
        "It keeps the newest events, the last verdict and the rejected releases.",
    )


def _turns(state: RolloutState, rollout_id: str) -> tuple[Turn, ...]:
    events = [event for event in state.history if event.rollout_id == rollout_id]
    begun = state.started_at if rollout_id == state.rollout_id else events[0].at if events else 0.0
    return tuple(Turn.of(item, after=max(item.at - begun, 0.0), weights=dict(item.weights)) for item in events)


def _tried(turns: Sequence[Turn]) -> bool:
    """Whether it was put on trial, as far as the history shows."""
    return not any(turn.kind == Phase.MOVING.value for turn in turns)


def _beside(turns: Sequence[Turn], release: str) -> str:
    names = dict.fromkeys(name for turn in turns for name in turn.weights if name != f"v-{release}")
    return next(iter(names), "")


def _ended(state: RolloutState, verdict: Verdict, now: float, commands: Commands) -> Story:
    own = release_of(verdict.rollout_id) == verdict.release
    turns, present = _turns(state, verdict.rollout_id), own and verdict.rollout_id == state.rollout_id
    turns = turns if own else _taken_back(turns)  # the trial of that rollout was another release's
    reason, plan = verdict.reason, state.plan if present else None
    began = turns[0].at if turns and turns[0].kind in _BEGIN else ""
    ended = verdict is not state.decided
    evidence = evidence_of(verdict.evidence, plan.metrics if plan else (), state.pivots if present else {})
    tried = reason.kind not in _WITHOUT_TRIAL and _tried(turns)
    if verdict.outcome == "failed":
        did = "failed" if ended else "fails"
    else:
        did = f"{'was' if ended else 'is being'} {verdict.outcome.replace('_', ' ')}"
    at = _weight(turns, verdict) if own else ", as champion"
    return Story(
        endpoint=state.endpoint,
        rollout_id=verdict.rollout_id,
        release=verdict.release,
        beside=_beside(turns, verdict.release) if own else "",
        outcome=verdict.outcome,
        summary=f"release {verdict.release} {did} {f'at {when(verdict.at, now)}' if ended else 'now'}{at}",
        why=reason.text,
        reason=reason.as_dict(),
        decided_by=_DECIDERS[reason.source].format(name=reason.name) + ", with no trial" * (not tried),
        source=reason.source,
        name=reason.name,
        began=began,
        ended=moment(verdict.at) if ended else "",
        tried=tried,
        turns=turns,
        evidence=tuple(sorted(evidence, key=lambda item: item.metric != reason.name)),
        replay=_replay(state) if present else None,
        alarm=_alarm(reason),
        next=_next(state, verdict, commands),
    )


def _taken_back(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The events since the champion began to be rolled back."""
    last = max((place for place, turn in enumerate(turns) if turn.kind == Phase.RESTORING.value), default=len(turns))
    return tuple(turns[last:])


def _weight(turns: Sequence[Turn], verdict: Verdict) -> str:
    """Its share of the traffic at the end, if the history has it."""
    if verdict.outcome != "promoted" and any(turn.kind == "promoted" for turn in turns):
        return ", as champion"
    changes = [turn for turn in turns if turn.kind in {"weights", "reduced"}]
    if not changes:
        return ""
    share = changes[-1].weights.get(f"v-{verdict.release}", 0)
    copies = not share and changes[-1].kind == "weights"
    return ", while it only got copies of requests" if copies else f", at {share}% of the traffic"


def _running(state: RolloutState, decision: Decision | None, now: float, commands: Commands) -> Story:
    turns, view, challenger = _turns(state, state.rollout_id), trial(state, decision, now), state.challenger
    release = challenger.id if challenger else release_of(state.rollout_id)
    step = f", at step {view.step} of {view.steps}" if view and view.step else ""
    first = decision.reason.name if decision else ""
    kind = state.phase.value if state.phase in {Phase.PAUSED, Phase.HELD} else "weights"
    how = "is on trial" if view else "takes over without a trial"
    return Story(
        endpoint=state.endpoint,
        rollout_id=state.rollout_id,
        release=release,
        beside=_beside(turns, release),
        outcome="running",
        summary=f"release {release} {how} ({state.phase.value.replace('_', ' ')}){step}",
        why=view.waits_for if view else "the endpoint is changing",
        reason=decision.reason.as_dict() if decision else None,
        began=moment(state.started_at),
        tried=_tried(turns),
        turns=turns,
        evidence=tuple(sorted(view.evidence, key=lambda item: item.metric != first)) if view else (),
        replay=_replay(state),
        trial=view,
        next=next_steps(kind, release, commands),
    )


def _forgotten(state: RolloutState, rollout_id: str) -> Story:
    """A rollout whose verdict is gone: its outcome is known only if its last events are still there."""
    turns, release = _turns(state, rollout_id), release_of(rollout_id)
    ends = [turn for turn in turns if turn.kind in get_args(Outcome)]
    last = (ends or turns or (None,))[-1]
    how = f"release {release} was {ends[-1].kind.replace('_', ' ')}" if ends else f"rollout {rollout_id} has ended"
    return Story(
        endpoint=state.endpoint,
        rollout_id=rollout_id,
        release=release,
        beside=_beside(turns, release),
        outcome=ends[-1].kind if ends else "ended",
        summary=f"{how}; its verdict's numbers are no longer in the journal",
        why=last.text if last else "nothing is left of it in the journal",
        reason=last.reason if last else None,
        ended=last.at if last else "",
        tried=_tried(turns),
        turns=turns,
    )


def _replay(state: RolloutState) -> Replay | None:
    if state.replayed is None:
        return None
    bounds = tuple(replay_bounds(state.plan, state.replayed))
    gate = state.plan.replay if state.plan else None
    return Replay(replay_outcome(gate, state.replayed).text, bounds, state.replayed.examples)


def _alarm(reason: Reason) -> Alarm | None:
    if reason.source != "alarm":
        return None
    return Alarm(reason.name, reason.numbers.get("value"), reason.numbers.get("threshold"), reason.said)


def _next(state: RolloutState, verdict: Verdict, commands: Commands) -> tuple[str, ...]:
    if verdict is state.decided:
        return next_steps(state.phase.value, verdict.release, commands)
    outcome = verdict.outcome
    if outcome == "rolled_back" and verdict.release not in state.rejected:
        return (f"it was cleared: `{commands.pulumi_up}` tries it again",)
    steps = next_steps(outcome, verdict.release, commands)
    last = verdict == state.verdict and state.champion is not None and state.champion.id != verdict.release
    if outcome == "failed" and not last:
        return tuple(step for step in steps if "skip-trial" not in step)
    if outcome == "promoted":
        return ("nothing to do", *_way_back(state, verdict, commands))
    return steps


def _way_back(state: RolloutState, verdict: Verdict, commands: Commands) -> tuple[str, ...]:
    """How to undo a promotion; empty without a previous champion, or when another release serves now."""
    champion, previous = state.champion, state.previous
    if champion is None or previous is None or champion.id != verdict.release:
        return ()
    command = f'{commands.modelstack} rollback --previous --reason "..."'
    return (f"`{command}` takes back {champion.id} and brings back {previous.id}, the champion before it",)
