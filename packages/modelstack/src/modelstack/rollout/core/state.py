"""The state of an endpoint in the journal. It is what *should* be; any controller can bring the endpoint there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import accumulate
from typing import Any

from modelstack.forms import FORMS, check
from modelstack.records.audit.chain import Chain
from modelstack.records.audit.record import Entry
from modelstack.rollout.core import audited
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.plan import Plan, ReplayGate
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.restored import Restored
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.reason import Reason
from modelstack.rollout.stored import read

HISTORY, HISTORY_BYTES = 100, 100_000  # most events, and bytes of them, in the history
WAITING = 60  # most events that wait to be sent; older ones are replaced by their number
_FEW = 40  # events that always fit
_LATER: Mapping[str, Any] = {"missing_since": None, "reductions": (), "requested": None}
"""Fields that journals of earlier programs do not have."""


class StateError(ValueError):
    """A journal entry cannot be read; the message says which part and what was expected."""


class Phase(StrEnum):
    """The phase of a rollout."""

    NONE = "none"  # nothing was ever released
    MOVING = "moving"  # the challenger takes over at once, without a trial: a first release, or other instances
    IDLE = "idle"  # the champion serves alone
    PREPARING = "preparing"  # the endpoint moves to the pair config; the challenger has no traffic
    BAKING = "baking"  # the challenger has a share of traffic and is judged
    PAUSED = "paused"  # the step is passed, and the next needs a person's approval
    HELD = "held"  # timed out, and waits at the present weight until a person ends it or gives it more time
    PROMOTING = "promoting"  # decided: the challenger becomes champion
    ROLLING_BACK = "rolling_back"  # decided: the champion keeps everything
    RESTORING = "restoring"  # decided: the previous champion comes back after a promotion


ON_TRIAL = frozenset({Phase.PREPARING, Phase.BAKING, Phase.PAUSED, Phase.HELD})
AT_REST = frozenset({Phase.NONE, Phase.IDLE, Phase.PAUSED, Phase.HELD})


@dataclass(frozen=True)
class Pivot:
    """The champion's quantile, in microseconds, fixed `since` then: only later windows are compared at it.

    Attributes:
        earlier: The pivot of the windows before; None for the first.
    """

    value: float
    since: float
    earlier: Pivot | None = None

    def chain(self) -> Iterator[Pivot]:
        """This pivot and all earlier ones, the newest first."""
        pivot: Pivot | None = self
        while pivot is not None:
            yield pivot
            pivot = pivot.earlier


@dataclass(frozen=True)
class Replayed:
    """The challenger's answers to captured requests of the champion.

    Attributes:
        errors: How many were errors, or of another schema than the champion's.
        changed: How many of the others decide differently from the champion's.
        latency_ratio: The ratio of the median latencies, challenger / champion; None when it was not measured.
        unreadable: Why captured records were skipped -> how many.
        times: Seconds of challenger and champion per request, of the first ones.
        reached: The position of the last request, if time ran out: the next run continues there. Else empty.
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
        """Whether more requests are to be replayed before the gate is checked."""
        return gate.waits(self.requests) or (bool(self.reached) and self.requests < gate.least)


@dataclass(frozen=True)
class Retiring:
    """A superseded challenger that the endpoint may still use, with its configs: not to be deleted yet."""

    release: Release
    pair_config: str | None
    shadow_config: str | None
    copied: int | None


@dataclass(frozen=True)
class Requested:
    """The last request of an endpoint config.

    Attributes:
        before: The config that served when the request was made.
        modified: When the endpoint had changed last by then; 0 if unknown.
        accepted_at: When the platform accepted the request, if a ready endpoint then either serves the config or has
            gone back; else 0.
    """

    config: str
    before: str
    modified: float = 0.0
    accepted_at: float = 0.0


@dataclass(frozen=True)
class Reduction:
    """The challenger of a step went back to its last proven share at a time, as counts were missing.

    `resumed` is when the endpoint confirmed the step's weights again; None until then.
    """

    step: int
    at: float
    resumed: float | None = None

    def as_of(self, at: float) -> Reduction:
        """What was known of it at a time."""
        return self if self.resumed is None or self.resumed < at else replace(self, resumed=None)


@dataclass(frozen=True)
class SkipTrial:
    """A person's permission for one release to take over without a trial."""

    release: str
    reason: Reason


@dataclass(frozen=True)
class RolloutState:
    """All that is stored about one endpoint's rollouts. Times are epoch seconds.

    Attributes:
        rollout_id: The present (or last) rollout; fences off events of earlier ones. Empty before the first.
        revision: Counts the writes; the journal accepts a write only on the revision that was read.
        previous: The champion before this one, to which an alarm or a person can go back.
        pair_config: The endpoint config that serves champion and challenger together.
        shadow_config: The endpoint config that serves the champion and copies requests to the challenger.
        step: Index into the plan's steps; -1 before the first.
        step_starts: When the endpoint first confirmed each step.
        weights: The requested percent of traffic per variant.
        approved: The last step that a person approved; -1 before the first.
        paused_at: Since when the trial waits for an approval; None when it does not.
        paused_seconds: What does not count as the trial's time: waits for approvals and, once a person gave it more
            time, everything before.
        missing_since: Since when the present step lacks counts; None while they come.
        reductions: The trial's returns to a proven share for missing counts, oldest first.
        moves: How often a change of the config was requested in this phase.
        requested: The last such request, of this phase only if `moves` is not 0.
        decided: The decision to go forward or back, until it is the verdict.
        previous_down_at: When the previous champion last failed to start again; 0 if it did not since the promotion.
        verdict: How the last rollout of a release ended.
        moved: How the last move of the champion to other instances ended.
        skip_trial: The next rollout, whatever its release, uses it up.
        restored: Replaces the release of the config; None when the config applies.
        claimed_at: When a controller began to send the outbox; 0 when none does.
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
    missing_since: float | None = None
    reductions: tuple[Reduction, ...] = ()
    pivots: Mapping[str, Pivot] = field(default_factory=dict[str, Pivot])
    replayed: Replayed | None = None
    rehearsed_at: float = 0.0
    moves: int = 0
    requested: Requested | None = None
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
        """Whether a challenger is on trial."""
        return self.phase in ON_TRIAL

    @property
    def at_rest(self) -> bool:
        """Whether nothing moves without a new release, an alarm or a person."""
        return self.phase in AT_REST

    @property
    def copied(self) -> int | None:
        """The percent of requests that `shadow_config` copies to the challenger; None without one."""
        return self.plan.steps[0].weight if self.plan and self.shadow_config else None

    @property
    def last(self) -> Verdict | None:
        """The later of `verdict` and `moved`."""
        ended = [item for item in (self.verdict, self.moved) if item is not None]
        return max(ended, key=lambda item: item.at, default=None)

    @property
    def gate_ahead(self) -> bool:
        """Whether the replay gate is still to be passed."""
        gate = self.plan.replay if self.plan else None
        return gate is not None and (self.replayed is None or self.replayed.goes_on(gate))

    @property
    def step_started_at(self) -> float | None:
        """When the endpoint last confirmed the present step's weights; None while it has not."""
        if self.reductions and self.reductions[-1].step == self.step:
            return self.reductions[-1].resumed
        return self.step_starts[self.step] if 0 <= self.step < len(self.step_starts) else None

    @property
    def reduced(self) -> bool:
        """Whether the challenger has only its last proven share, as counts are, or were, missing."""
        if self.plan is None or self.challenger is None or not self.reductions or self.step_started_at is not None:
            return False
        return self.weights.get(self.challenger.variant, 0) < self.plan.weight(self.step)

    def releases(self) -> tuple[Release, ...]:
        """Every release that the endpoint uses or that a rollback would need. None of these may be deleted."""
        found = [self.champion, self.challenger, self.previous, *(item.release for item in self.retiring)]
        return tuple({item.config_name: item for item in found if item is not None}.values())

    def configs(self) -> tuple[str, ...]:
        """Every endpoint config that the endpoint uses or that a rollback would need. None of these may be deleted."""
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
        """The state with one more event, also in the outbox if `send`; its kind may be one for the audit record."""
        weights = dict(self.weights)
        event = Event(at, self.rollout_id, kind, release, champion, reason, dict(numbers or {}), weights)
        outbox = _waiting((*self.outbox, event)) if send else self.outbox
        noted = replace(self, history=_kept((*self.history, event)), outbox=outbox)
        entry = audited.entry(event, self.releases(), self._verdicts(), self.restored)
        return noted.recording(entry) if entry is not None else noted

    def recording(self, entry: Entry) -> RolloutState:
        """The state with one more audit entry; itself if that entry is known."""
        chain = self.audit.noting(entry)
        return self if chain is self.audit else replace(self, audit=chain)

    def _verdicts(self) -> tuple[Verdict, ...]:
        ended = [self.decided, self.verdict, self.moved, *self.rejected.values()]
        return tuple(item for item in ended if item is not None)

    def written(self, by: str = "") -> RolloutState:
        """The state after the next write; `by` is the writer's credentials or function, empty if unknown."""
        return replace(self, revision=self.revision + 1, audit=self.audit.sealed(self.endpoint, by))

    def to_json(self) -> str:
        """The state as one JSON object with a format version."""
        return json.dumps({"version": FORMS["journal"], **vars(self)}, sort_keys=True, default=_plain)

    @classmethod
    def from_json(cls, text: str) -> RolloutState:
        """Read back what `to_json` wrote; StateError if it is not a state, or a newer version of one."""
        try:
            value: dict[str, Any] = json.loads(text)
            check("journal", value.pop("version"), StateError)
            return read(cls, {**_LATER, **value}, newer=True, whole=True)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, StateError):
                raise
            raise StateError(f"journal entry cannot be read: {error!r} in {text[:200]!r}") from error


def _plain(one: Any) -> Any:
    return one.as_dict() if isinstance(one, Release) else vars(one)


def _kept(history: tuple[Event, ...]) -> tuple[Event, ...]:
    """The newest events that fit into an item of the journal."""
    if len(history) <= _FEW:
        return history
    sizes = accumulate(len(json.dumps(vars(event), default=_plain)) for event in reversed(history[-HISTORY:]))
    room = sum(size <= HISTORY_BYTES for size in sizes)
    return history[-max(room, 1) :]


def _waiting(outbox: tuple[Event, ...]) -> tuple[Event, ...]:
    """The outbox; when it is too long, an event with the number of the older ones replaces them."""
    if len(outbox) <= WAITING:
        return outbox
    older, newer = outbox[: -WAITING // 2], outbox[-WAITING // 2 :]
    count, last = sum(event.numbers["events"] if event.kind == "untold" else 1 for event in older), older[-1]
    return (Event(last.at, last.rollout_id, "untold", last.release, numbers={"events": count}), *newer)
