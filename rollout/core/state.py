"""What the journal keeps of an endpoint: who serves, who is on trial, how far, and the verdicts so far.

    state = RolloutState.from_json(text)
    state.champion, state.challenger, state.phase, state.verdict

A state says what *should* be; the endpoint says what is. The controller closes the gap, and any controller can.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import accumulate
from typing import Any

from audit.chain import Chain
from audit.record import Entry
from rollout.core import audited
from rollout.core.event import Event
from rollout.core.plan import Plan, ReplayGate
from rollout.core.release import Release
from rollout.core.restored import Restored
from rollout.core.verdict import Verdict
from rollout.reason import Reason
from rollout.stored import read

VERSION = 1
HISTORY, HISTORY_BYTES = 100, 100_000
"""How many events the history keeps at most, and how many bytes of them."""
WAITING = 60
"""How many events wait to be sent at most; of more, the older ones are told as a number."""
_FEW = 40  # events that fit, whatever they say


class StateError(ValueError):
    """A journal entry cannot be read; the message says which part and what was expected."""


class Phase(StrEnum):
    """Where a rollout stands."""

    NONE = "none"  # nothing was ever released
    MOVING = "moving"  # the challenger takes over at once, without a trial: a first release, or other instances
    IDLE = "idle"  # the champion serves alone
    PREPARING = "preparing"  # the endpoint moves to the pair config; the challenger has no traffic
    BAKING = "baking"  # the challenger has a share of traffic and is judged
    PAUSED = "paused"  # the step is passed, and the plan asks for a person's approval before the next
    HELD = "held"  # out of time, and asked to wait at the present weight: a person ends it, or gives it more time
    PROMOTING = "promoting"  # decided: the challenger becomes champion
    ROLLING_BACK = "rolling_back"  # decided: the champion keeps everything
    RESTORING = "restoring"  # decided: the previous champion comes back after a promotion


ON_TRIAL = frozenset({Phase.PREPARING, Phase.BAKING, Phase.PAUSED, Phase.HELD})
AT_REST = frozenset({Phase.NONE, Phase.IDLE, Phase.PAUSED, Phase.HELD})


@dataclass(frozen=True)
class Pivot:
    """What a quantile of latency is compared at.

    Attributes:
        value: The champion's quantile before it was compared, microseconds.
        since: Epoch seconds; only windows from then on count, for the value was chosen before they were seen.
    """

    value: float
    since: float


@dataclass(frozen=True)
class Replayed:
    """What the challenger made of captured requests of the champion.

    Attributes:
        requests: How many were replayed.
        errors: How many of its answers were errors, or of another shape than the champion's.
        changed: How many of the others decide otherwise than the champion's.
        latency_ratio: The ratio of the medians of latency, challenger / champion; None when it could not be measured.
        examples: What was wrong, a sentence each; at most a few.
        unreadable: Why captured records were passed over -> how many.
        seconds: How long it took.
        times: How long challenger and champion took for one request, seconds; of the first ones.
        reached: Where the last one lies, when there was no time for those after it: the next run goes on there. Else
            empty.
    """

    requests: int
    errors: int
    changed: int
    latency_ratio: float | None
    examples: tuple[str, ...] = ()
    unreadable: Mapping[str, int] = field(default_factory=dict[str, int])
    seconds: float = 0.0
    times: tuple[tuple[float, float], ...] = ()
    reached: str = ""

    def goes_on(self, gate: ReplayGate) -> bool:
        """Whether more requests are to be replayed before the gate is checked: those that are left, or that come."""
        return gate.waits(self.requests) or (bool(self.reached) and self.requests < gate.least)


@dataclass(frozen=True)
class Retiring:
    """A superseded challenger that the endpoint may still use: not to be deleted yet.

    Attributes:
        release: The challenger.
        pair_config: The endpoint config that serves it beside the champion.
        shadow_config: The endpoint config that copies requests to it.
        copied: How many percent of them; None without such a config.
    """

    release: Release
    pair_config: str | None
    shadow_config: str | None
    copied: int | None


@dataclass(frozen=True)
class SkipTrial:
    """A person's leave for one release to take over without a trial.

    Attributes:
        release: The release's id.
        reason: Who gave it and why.
    """

    release: str
    reason: Reason


@dataclass(frozen=True)
class RolloutState:
    """All that is remembered of one endpoint's rollouts.

    Attributes:
        endpoint: The endpoint's name.
        rollout_id: Names the present (or last) rollout, and fences events of earlier ones. Empty before the first.
        revision: Counts the writes; the journal takes a write only on the revision that was read.
        phase: Where the rollout stands.
        champion: The release that serves.
        challenger: The release on trial.
        previous: The champion before this one, kept so that it can come back.
        pair_config: The endpoint config that serves champion and challenger together.
        shadow_config: The endpoint config that serves the champion and copies requests to the challenger.
        plan: The plan of the present (or last) rollout.
        step: Index into the plan's steps; -1 before the first.
        step_reason: Why the present step was asked for.
        started_at: When the rollout was begun, epoch seconds.
        step_starts: When each step of the present (or last) rollout was confirmed by the endpoint, epoch seconds.
        weights: Percent of traffic per variant that is asked for.
        approved: The last step that a person approved; -1 before the first.
        paused_at: Since when the trial waits for an approval, epoch seconds; None when it does not.
        paused_seconds: What does not count as the trial's time: its waits for approvals and, once a person gave it more
            time, all that was before.
        pivots: Where quantiles of latency are compared, by metric.
        replayed: What the challenger made of captured requests; None before they were replayed.
        rehearsed_at: When they were replayed, epoch seconds.
        moves: How often the endpoint was asked to change its config in this phase.
        decided: Why the rollout goes forward or back, from the decision until the verdict.
        promoted_at: When the champion became champion, epoch seconds.
        previous_down_at: When the previous champion was last to come back and did not come up, epoch seconds; 0 when
            that was not so since the promotion.
        verdict: How the last rollout of a release ended.
        moved: How the last move of the champion to other instances ended.
        rejected: Release id -> the verdict that rejected it.
        retiring: Superseded challengers that the endpoint may still use.
        skip_trial: Which release may take over without a trial; the next rollout, whosever it is, uses it up.
        restored: What a person asked to serve again, whatever the config asks for; None when the config counts.
        outbox: Events that were not yet sent.
        claimed_at: When a controller began to send them, epoch seconds; 0 when none does.
        history: The last events, oldest first.
        audit: The end of the audit record, and what of it is still to be put away.
    """

    endpoint: str
    rollout_id: str = ""
    revision: int = 0
    phase: Phase = Phase.NONE
    champion: Release | None = None
    challenger: Release | None = None
    previous: Release | None = None
    pair_config: str | None = None
    shadow_config: str | None = None
    plan: Plan | None = None
    step: int = -1
    step_reason: Reason | None = None
    started_at: float = 0.0
    step_starts: tuple[float, ...] = ()
    weights: Mapping[str, int] = field(default_factory=dict[str, int])
    approved: int = -1
    paused_at: float | None = None
    paused_seconds: float = 0.0
    pivots: Mapping[str, Pivot] = field(default_factory=dict[str, Pivot])
    replayed: Replayed | None = None
    rehearsed_at: float = 0.0
    moves: int = 0
    decided: Verdict | None = None
    promoted_at: float = 0.0
    previous_down_at: float = 0.0
    verdict: Verdict | None = None
    moved: Verdict | None = None
    rejected: Mapping[str, Verdict] = field(default_factory=dict[str, Verdict])
    retiring: tuple[Retiring, ...] = ()
    skip_trial: SkipTrial | None = None
    restored: Restored | None = None
    outbox: tuple[Event, ...] = ()
    claimed_at: float = 0.0
    history: tuple[Event, ...] = ()
    audit: Chain = field(default_factory=Chain)

    @property
    def on_trial(self) -> bool:
        """Whether a challenger is on trial now."""
        return self.phase in ON_TRIAL

    @property
    def at_rest(self) -> bool:
        """Whether nothing moves without a new release, an alarm or a person."""
        return self.phase in AT_REST

    @property
    def copied(self) -> int | None:
        """How many percent of the requests `shadow_config` copies to the challenger; None without one."""
        return self.plan.steps[0].weight if self.plan and self.shadow_config else None

    @property
    def last(self) -> Verdict | None:
        """How the last rollout ended, be it of a release, or a move of the champion to other instances."""
        ended = [item for item in (self.verdict, self.moved) if item is not None]
        return max(ended, key=lambda item: item.at, default=None)

    @property
    def gate_ahead(self) -> bool:
        """Whether the replay gate is still to be passed: nothing was replayed yet, or too little while it waits."""
        gate = self.plan.replay if self.plan else None
        return gate is not None and (self.replayed is None or self.replayed.goes_on(gate))

    @property
    def step_started_at(self) -> float | None:
        """When the endpoint confirmed the present step's weights; None while it has not."""
        return self.step_starts[self.step] if 0 <= self.step < len(self.step_starts) else None

    def releases(self) -> tuple[Release, ...]:
        """Every release that the endpoint uses, or that a rollback would need. None of these may be deleted."""
        found = [self.champion, self.challenger, self.previous, *(item.release for item in self.retiring)]
        return tuple({item.config_name: item for item in found if item is not None}.values())

    def configs(self) -> tuple[str, ...]:
        """Every endpoint config that the endpoint uses, or that a rollback would need. None of these may be deleted."""
        beside = [self, *self.retiring]
        shared = [name for item in beside for name in (item.pair_config, item.shadow_config) if name]
        solo = [item.config_name for item in self.releases()]
        return tuple(dict.fromkeys([*solo, *shared]))

    def noting(
        self,
        at: float,
        kind: str,
        release: str,
        reason: Reason | None = None,
        *,
        champion: str = "",
        numbers: Mapping[str, float] | None = None,
        send: bool = True,
    ) -> RolloutState:
        """The state with one more event in the history, and in the outbox when it is to be sent; see `Event`.

        The next write gives it a place in the audit record, if it is one that is recorded.
        """
        weights = dict(self.weights)
        event = Event(at, self.rollout_id, kind, release, champion, reason, dict(numbers or {}), weights)
        outbox = _waiting((*self.outbox, event)) if send else self.outbox
        noted = replace(self, history=_kept((*self.history, event)), outbox=outbox)
        entry = audited.entry(event, self.releases(), self._verdicts(), self.restored)
        return noted.recording(entry) if entry is not None else noted

    def recording(self, entry: Entry) -> RolloutState:
        """The state with something more for the audit record; itself if that was noted before."""
        chain = self.audit.noting(entry)
        return self if chain is self.audit else replace(self, audit=chain)

    def _verdicts(self) -> tuple[Verdict, ...]:
        ended = [self.decided, self.verdict, self.moved, *self.rejected.values()]
        return tuple(item for item in ended if item is not None)

    def written(self, by: str = "") -> RolloutState:
        """The state as it stands in the journal after the next write.

        Args:
            by: Whose credentials, or which function, writes it; empty when that is not known.
        """
        return replace(self, revision=self.revision + 1, audit=self.audit.sealed(self.endpoint, by))

    def to_json(self) -> str:
        """The state as one JSON object with a format version."""
        return json.dumps({"version": VERSION, **vars(self)}, sort_keys=True, default=_plain)

    @classmethod
    def from_json(cls, text: str) -> RolloutState:
        """Read back what `to_json` wrote.

        Raises:
            StateError: The text is not a state, or another version of one.
        """
        try:
            value: dict[str, Any] = json.loads(text)
            version = value.pop("version")
            if version != VERSION:
                raise StateError(f"journal entry has version {version!r}, this program reads {VERSION}: update it")
            return read(cls, value, whole=True)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, StateError):
                raise
            raise StateError(f"journal entry cannot be read: {error!r} in {text[:200]!r}") from error


def _plain(one: Any) -> Any:
    """A part of the state as JSON values."""
    return one.as_dict() if isinstance(one, Release) else vars(one)


def _kept(history: tuple[Event, ...]) -> tuple[Event, ...]:
    """The newest events, as many as there is room for in an item of the journal."""
    if len(history) <= _FEW:
        return history
    sizes = accumulate(len(json.dumps(vars(event), default=_plain)) for event in reversed(history[-HISTORY:]))
    room = sum(size <= HISTORY_BYTES for size in sizes)
    return history[-max(room, 1) :]


def _waiting(outbox: tuple[Event, ...]) -> tuple[Event, ...]:
    """What waits to be sent. When that is too much, people are told how much of it they are not told."""
    if len(outbox) <= WAITING:
        return outbox
    older, newer = outbox[: -WAITING // 2], outbox[-WAITING // 2 :]
    count, last = sum(event.numbers["events"] if event.kind == "untold" else 1 for event in older), older[-1]
    return (Event(last.at, last.rollout_id, "untold", last.release, numbers={"events": count}), *newer)
