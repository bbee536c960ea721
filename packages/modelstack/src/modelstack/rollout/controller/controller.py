"""The actions on one endpoint's rollouts (release, roll back, approve, ...).

Any number of controllers may run at once, and be killed at any point; they agree through the journal's compare-and-set.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from modelstack.rollout.controller.agreement import change
from modelstack.rollout.controller.look import Looker
from modelstack.rollout.controller.loop import POLL, Loop, Progress
from modelstack.rollout.controller.outbox import Outbox
from modelstack.rollout.controller.ports import (
    Alarms,
    Clock,
    Journal,
    Mover,
    Notify,
    Registry,
    Replay,
    Signals,
    Traffic,
)
from modelstack.rollout.core import endings, restoring, transitions
from modelstack.rollout.core.effects import Effect, SetWeights, UseConfig, Wait, due
from modelstack.rollout.core.endings import Ignored
from modelstack.rollout.core.errors import Busy, Conflict, RolloutError, Unreachable
from modelstack.rollout.core.firing_alarms import VariantAlarm, heard, matters, withheld
from modelstack.rollout.core.live import Live
from modelstack.rollout.core.lost import LostJournal, refuse_lost
from modelstack.rollout.core.plan import Plan
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.restored import Restored
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

_ENDING = frozenset({Phase.PROMOTING, Phase.ROLLING_BACK, Phase.RESTORING})
_KEEPS_TRYING = 60.0  # seconds of retries while a platform does not answer


class Controller:
    """Drives one endpoint's rollouts; `notify=None` leaves the events to another controller."""

    def __init__(
        self,
        *,
        traffic: Traffic,
        signals: Signals,
        alarms: Alarms,
        journal: Journal,
        registry: Registry,
        replay: Replay,
        clock: Clock,
        notify: Notify | None,
        mover: Mover | None = None,
        instances: Callable[[Release, float], str] | None = None,
    ) -> None:
        self._alarms, self._journal, self._clock = alarms, journal, clock
        self._looker = Looker(signals, clock, instances)
        self._loop = Loop(traffic, self._looker, journal, registry, replay, clock, mover)
        self._outbox = Outbox(journal, notify, clock)

    def release(
        self,
        target: Release,
        pair_config: str | None,
        plan: Plan,
        *,
        shadow_config: str | None = None,
        beside: str | None = None,
        patience: float = 600,
    ) -> Progress:
        """Put a release on trial, or make it the first champion, and take the first step; see `transitions.begin`.

        Without a champion it goes live without a trial, so it is refused if anything else serves (`core.lost`).

        This is idempotent. A release in mid-trial supersedes the trial. A promotion or rollback under way is finished
        first, for at most `patience` seconds; a platform that does not answer is retried for a minute.
        """

        def begin(state: RolloutState) -> RolloutState:
            if state.phase in _ENDING:
                raise Busy(f"the rollout of {state.endpoint} is {state.phase.value} since a moment ago: release again")
            if state.champion is None:
                self._loop.refuse_first(state, target)
            now = self._clock.time()
            return transitions.begin(state, target, pair_config, plan, now, shadow_config=shadow_config, beside=beside)

        self._begin(begin, patience)
        try:
            return self.tick()
        except (Busy, Unreachable, Conflict) as error:  # it has begun: the next tick continues
            return Progress(self._journal.read(), None, str(error))

    def tick(self, *, patience: float = 0) -> Progress:
        """Do all that can be done now, first a rollback if an alarm fires; waits `patience` seconds."""
        # The alarms come first, so that no tick gives traffic to a version whose alarm fires.
        reason = self._roll_back_if_firing()
        progress = self._loop.run(self._clock.time() + patience, withheld=reason)
        return replace(progress, state=self._outbox.send(progress.state))

    def roll_back(
        self,
        reason: Reason,
        *,
        variant: str | None = None,
        at: float | None = None,
        meant: str | None = None,
        patience: float = 45,
    ) -> Progress | Ignored:
        """Roll back the trial, or, if nothing is on trial, the last promotion; see `endings.turn_back`.

        Returns when the endpoint has accepted the traffic, and raises Busy if not within `patience` seconds: the
        decision is recorded, and the next tick tries again.
        """

        def decide(state: RolloutState) -> RolloutState | Ignored:
            return endings.turn_back(state, reason, self._clock.time(), variant=variant, at=at, meant=meant)

        until = self._clock.time() + patience
        after = change(self._journal, decide, self._write_or_shift)
        return after if isinstance(after, Ignored) else self._return_traffic(until)

    def status(self) -> Progress:
        """The state of the rollout, without any effect."""
        state = self._journal.read()
        live = self._loop.live()
        firing, unknown = self._firing(state)
        decision = self._looker.decide(state, unknown or withheld(state, firing))
        doing = decision.reason.text if decision else state.phase.value
        try:
            refuse_lost(state, live)
        except LostJournal as error:
            doing = str(error)
        return Progress(state, live, doing, decision)

    def follow(
        self, seconds: float, *, poll: float = 2.0, progress: Callable[[Progress], None] | None = None
    ) -> RolloutState:
        """Tick every `poll` seconds until the rollout is at rest and its events are sent, or for `seconds`."""
        until = self._clock.time() + seconds
        state: RolloutState | None = None
        while True:
            try:
                seen = self.tick()
            except (Busy, Unreachable, Conflict) as error:
                seen = Progress(self._read_or(state), None, str(error))
            state = seen.state
            if progress is not None:
                progress(seen)
            resting = seen.state.at_rest and not self._outbox.being_sent(seen.state)
            if resting or self._clock.time() >= until:
                return seen.state
            self._clock.sleep(poll)

    def clear_rejection(self, release: str) -> RolloutState:
        """Let a rejected release be tried again; see `transitions.clear`."""
        return self._send(lambda state: transitions.clear(state, release, self._clock.time()))

    def approve(self, reason: Reason) -> Progress:
        """Let a waiting trial continue, or give a held one more time; see `transitions.approve`."""
        change(self._journal, lambda state: transitions.approve(state, reason, self._clock.time()))
        return self.tick()

    def skip_trial(self, release: str, reason: Reason) -> RolloutState:
        """Let a release that failed to start take over without a trial next time; see `transitions.skip_trial`."""
        return self._send(lambda state: transitions.skip_trial(state, release, reason, self._clock.time()))

    def restore(self, wanted: Restored, *, although_rejected: bool = False) -> RolloutState:
        """Request a release that served before; see `restoring.restore`."""
        return self._send(
            lambda state: restoring.restore(state, wanted, self._clock.time(), although_rejected=although_rejected)
        )

    def lift_restore(self, reason: Reason) -> RolloutState:
        """Let the config apply again; see `restoring.lift`."""
        return self._send(lambda state: restoring.lift(state, reason, self._clock.time()))

    def _send(self, decide: Callable[[RolloutState], RolloutState]) -> RolloutState:
        return self._outbox.send(change(self._journal, decide))

    def _roll_back_if_firing(self) -> Reason | None:
        """Why the challenger gets no more traffic in this tick, even if nothing rolls it back; None when it may."""
        firing, unknown = self._firing(self._journal.read())
        if not firing:
            return unknown
        after = change(self._journal, lambda state: heard(state, firing, self._clock.time()), self._write_or_shift)
        return withheld(after, firing)

    def _firing(self, state: RolloutState) -> tuple[tuple[VariantAlarm, ...], Reason | None]:
        """The firing alarms, where one would change anything; and why they are unknown."""
        if not matters(state, self._clock.time()):
            return (), None
        try:
            return self._alarms.firing(state), None
        except RolloutError as error:
            return (), Reason("alarm", "levels", str(error), kind=Kind.ALARMS_UNREACHABLE)

    def _return_traffic(self, until: float) -> Progress:
        progress = self._loop.run(until, _traffic_returned)
        if not progress.in_time:
            raise Busy(f"the endpoint has not taken the rollback yet: {progress.doing}; the next tick tries again")
        self._keep_evidence()
        return self.tick()

    def _keep_evidence(self) -> None:
        """Add what is known of each metric to the verdict on a trial that an alarm or a person ended; best effort."""
        with suppress(Busy, Unreachable, Conflict):
            state = self._journal.read()
            decided = state.decided
            if state.phase is not Phase.ROLLING_BACK or decided is None or decided.evidence:
                return
            evidence = self._looker.evidence(state, decided.at)
            if evidence:
                change(self._journal, lambda now: endings.with_evidence(now, decided.rollout_id, evidence))

    def _begin(self, begin: Callable[[RolloutState], RolloutState], patience: float) -> None:
        """Let a promotion or rollback under way end, for at most `patience` seconds; then begin a rollout."""
        until = self._clock.time() + patience
        failing: float | None = None  # since when all attempts have failed
        while True:
            try:
                state = self._journal.read()
                if state.phase in _ENDING or state.phase is Phase.MOVING:  # a finished move becomes champion first
                    state = self.tick().state
                if state.phase not in _ENDING:
                    change(self._journal, begin)
                    return
            except (Busy, Unreachable):
                failing = self._clock.time() if failing is None else failing
                if self._clock.time() - failing >= min(patience, _KEEPS_TRYING):
                    raise
            else:
                failing = None
                if self._clock.time() >= until:
                    raise Busy(
                        f"the rollout of {state.endpoint} is still {state.phase.value}: release again when it is done"
                    )
            self._clock.sleep(POLL)

    def _read_or(self, known: RolloutState | None) -> RolloutState:
        try:
            return self._journal.read()
        except (Busy, Unreachable):
            if known is None:
                raise
            return known

    def _write_or_shift(self, state: RolloutState) -> RolloutState:
        """Record the decision to roll back. If the journal cannot take it, return a trial's traffic anyway."""
        try:
            return self._journal.write(state)
        except (Busy, Unreachable):
            effect = due(state, self._loop.live(), {}, self._clock.time())
            if isinstance(effect, SetWeights):
                self._loop.perform(effect)
            raise


def _traffic_returned(state: RolloutState, live: Live | None, effect: Effect) -> bool:
    """Whether the endpoint has accepted the rollback under way, if any.

    The attempt on a previous champion's config is counted before it is made. So only an endpoint that changes since
    then has accepted it; one that cannot be read may never have received it.
    """
    if state.phase is not Phase.RESTORING:
        return not isinstance(effect, SetWeights)
    if isinstance(effect, Wait):
        return live is not None and state.moves > 0
    return not isinstance(effect, UseConfig)
