"""The loop brings the endpoint to the state in the journal, one effect after another.

Another controller may have been first. So every effect may be repeated, and a refused one is no error if the journal or
the endpoint has changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from modelstack.rollout.controller.agreement import change
from modelstack.rollout.controller.look import Looker
from modelstack.rollout.controller.ports import Clock, Journal, Mover, Registry, Replay, Traffic
from modelstack.rollout.core import transitions
from modelstack.rollout.core.decision import Decision
from modelstack.rollout.core.effects import (
    Effect,
    Look,
    Record,
    Rehearse,
    Rest,
    SetApproval,
    SetWeights,
    UseConfig,
    Wait,
    due,
)
from modelstack.rollout.core.errors import Busy, Conflict, RolloutError, Unreachable
from modelstack.rollout.core.live import Approval, Live
from modelstack.rollout.core.lost import refuse_lost, unknown_variants
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.reason import Reason

POLL = 1.0  # seconds between two attempts
_EFFECTS = 30  # the most effects of one run; a rollout needs a handful
_REFUSALS = 5  # the most of one run, each after another controller's change


@dataclass(frozen=True)
class Progress:
    """Where a rollout stands; `live` is None if unreadable, `in_time` is False if time ran out while waiting."""

    state: RolloutState
    live: Live | None
    doing: str
    decision: Decision | None = None
    in_time: bool = True


@dataclass(frozen=True)
class Loop:
    """Performs effects on one endpoint."""

    traffic: Traffic
    looker: Looker
    journal: Journal
    registry: Registry
    replay: Replay
    clock: Clock
    mover: Mover | None = None

    def run(
        self,
        until: float,
        enough: Callable[[RolloutState, Live | None, Effect], bool] | None = None,
        withheld: Reason | None = None,
    ) -> Progress:
        """Perform effects until none is left, `enough` is true, or only waiting remains and the time is over.

        `withheld` is why the challenger gets no more traffic.
        """
        last: Effect | None = None
        performed = refused = 0
        while True:
            state, live = self._observe()
            effect = self._due(state, live, withheld)
            if enough is not None and enough(state, live, effect):
                return Progress(state, live, state.phase.value)
            if isinstance(effect, Look):
                decision, after = self.looker.look(state, withheld)
                if after is state:
                    return Progress(state, live, decision.reason.text if decision else "", decision)
                effect = Record(after)
            if isinstance(effect, Rest):
                return Progress(state, live, "at rest")
            doing = effect.why if isinstance(effect, Wait) else ""
            # The endpoint does not show a repeated effect yet.
            if not isinstance(effect, Wait) and (isinstance(effect, Record) or effect != last):
                try:
                    self.perform(effect)
                    last, performed = effect, performed + 1
                    if performed < _EFFECTS:
                        continue
                except Busy as error:
                    doing = str(error)
                    last = None
                except Unreachable:
                    raise
                except RolloutError as error:
                    last, refused = None, refused + (not isinstance(error, Conflict))
                    if isinstance(error, Conflict) or (refused <= _REFUSALS and self._overtaken(effect, state, live)):
                        continue
                    raise
            if self.clock.time() >= until:
                return Progress(state, live, doing or "waiting for the endpoint", in_time=False)
            self.clock.sleep(POLL)

    def _observe(self) -> tuple[RolloutState, Live | None]:
        """The journal and what is live; raises LostJournal if what is live is newer, and no controller writes.

        One variant alone may be a first endpoint whose release is about to be recorded; two are a lost trial.
        """
        while True:
            state = self.journal.read()
            live = self._carried_on(self.live())
            if len(unknown_variants(state, live)) < (2 if state.champion is None else 1):
                return state, live
            if self.journal.read() == state:
                refuse_lost(state, live)

    def refuse_first(self, state: RolloutState, target: Release) -> None:
        """Refuse a release without a trial unless nothing else serves; raises also if that cannot be read."""
        live = self.traffic.read()
        if unknown_variants(state, live) and self.journal.read() != state:
            raise Busy(f"the first release of {state.endpoint} began a moment ago: release again")
        refuse_lost(state, live, target.variant)

    def live(self) -> Live | None:
        """The endpoint's state; None when it cannot be read."""
        try:
            return self.traffic.read()
        except (Busy, Unreachable):
            return None

    def _carried_on(self, live: Live | None) -> Live | None:
        changing = self.mover is not None and live is not None and live.status == "changing"
        return self.live() if changing and self.mover is not None and self.mover.advance() else live

    def perform(self, effect: Effect) -> None:
        """Perform one effect."""
        if isinstance(effect, SetWeights):
            self.traffic.set_weights(effect.weights)
        elif isinstance(effect, UseConfig):
            self._use_config(effect)
        elif isinstance(effect, Rehearse):
            self._rehearse(effect)
        elif isinstance(effect, SetApproval):
            self._set_approval(effect)
        elif isinstance(effect, Record):
            self.journal.write(effect.state)

    def _due(self, state: RolloutState, live: Live | None, withheld: Reason | None) -> Effect:
        """The next effect. The registry is read only when its answer decides, so that traffic never waits for it."""
        known: dict[str, Approval | None] = {}
        while True:
            effect = due(state, live, known, self.clock.time(), withheld)
            if not isinstance(effect, SetApproval) or effect.package in known:
                return effect
            known[effect.package] = self._approval(effect.package)

    def _overtaken(self, effect: Effect, state: RolloutState, live: Live | None) -> bool:
        """Whether the journal or the endpoint has changed since the effect was found, so that a refusal is no error."""
        known = [state]
        if isinstance(effect, UseConfig) and effect.attempt is not None:
            known.append(effect.attempt.written())  # written by this controller itself
        return self.journal.read() not in known or self.live() != live

    def _use_config(self, effect: UseConfig) -> None:
        """Counts the attempt first, so that it survives a crash. A throttled request is uncounted again.

        If it cannot be recorded that the platform accepted the request, that stays unknown: the config is requested
        again.
        """
        counted = None if effect.attempt is None else self.journal.write(effect.attempt)
        try:
            accepted = self.traffic.use_config(effect.name, effect.guard)
        except Busy:
            if counted is not None:
                with suppress(Busy, Unreachable, Conflict):
                    change(self.journal, lambda state: _uncounted(state, counted))
            raise
        if accepted and counted is not None:
            now = self.clock.time()
            with suppress(Busy, Unreachable, Conflict):
                change(self.journal, lambda state: _accepted(state, counted, now))

    def _set_approval(self, effect: SetApproval) -> None:
        """An alarm's rollback that another controller finished just before an approval takes precedence."""
        self.registry.set_approval(effect.package, effect.approval, effect.why.text)
        if effect.approval == "Approved" and effect.release is not None:
            rejected = self.journal.read().rejected.get(effect.release)
            if rejected is not None:
                self.registry.set_approval(effect.package, "Rejected", rejected.reason.text)

    def _rehearse(self, effect: Rehearse) -> None:
        """Records the outcome on the journal's newest state: what was decided meanwhile stands."""
        outcome = self.replay.run(effect.champion, effect.challenger, effect.requests, effect.before)
        state = self.journal.read()
        same = state.challenger is not None and state.challenger.variant == effect.challenger
        if same and state.on_trial and state.gate_ahead:
            self.journal.write(transitions.replayed(state, outcome, self.clock.time()))

    def _approval(self, package: str) -> Approval | None:
        try:
            return self.registry.approval(package)
        except (Busy, Unreachable):
            return None  # then it is set again


def _uncounted(state: RolloutState, counted: RolloutState) -> RolloutState:
    """The state with one attempt less; itself if the rollout moved on since it was counted."""
    return replace(state, moves=state.moves - 1) if _is_under_way(state, counted) else state


def _accepted(state: RolloutState, counted: RolloutState, now: float) -> RolloutState:
    """The state in which the platform has accepted the counted request; itself if the rollout moved on since."""
    if state.requested is None or state.requested != counted.requested or not _is_under_way(state, counted):
        return state
    return replace(state, requested=replace(state.requested, accepted_at=now))


def _is_under_way(state: RolloutState, counted: RolloutState) -> bool:
    return bool(state.moves) and (state.rollout_id, state.phase) == (counted.rollout_id, counted.phase)
