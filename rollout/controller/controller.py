"""What can be asked of one endpoint's rollouts (release, roll back, approve, ...); `loop` carries it out.

Any number of controllers may run at once (an update that waits, a scheduled tick, an alarm's handler, a person); they
agree through the journal's compare-and-set, and any of them may be killed at any point.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from rollout.controller.agreement import change
from rollout.controller.levels import Levels
from rollout.controller.look import Looker
from rollout.controller.loop import POLL, Loop, Progress
from rollout.controller.outbox import Outbox
from rollout.controller.ports import Alarms, Clock, Journal, Mover, Notify, Registry, Replay, Signals, Traffic
from rollout.core import endings, restoring, transitions
from rollout.core.effects import Effect, SetWeights, UseConfig, Wait, due
from rollout.core.endings import Ignored
from rollout.core.errors import Busy, Conflict, Unreachable
from rollout.core.live import Live
from rollout.core.plan import Plan
from rollout.core.release import Release
from rollout.core.restored import Restored
from rollout.core.state import Phase, RolloutState
from rollout.reason import Reason

_ENDING = frozenset({Phase.PROMOTING, Phase.ROLLING_BACK, Phase.RESTORING})
_KEEPS_TRYING = 60.0  # seconds for which a release tries again while a platform does not answer


class Controller:
    """Drives one endpoint's rollouts.

    Args:
        traffic, signals, alarms, journal, registry, replay, clock: See `rollout.controller.ports`.
        notify: Tells people; None leaves the events to a controller that can.
        mover: Carries a guarded move on; None where the platform does it.
    """

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
    ) -> None:
        self._journal, self._clock, self._looker = journal, clock, Looker(signals, clock)
        self._loop = Loop(traffic, self._looker, journal, registry, replay, clock, mover)
        self._levels = Levels(alarms, journal, clock, self._write_or_shift)
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
        """Put a release on trial (or make it champion, when there is none), and take the first step.

        Asking again for what is champion or on trial changes nothing. A release in mid-trial supersedes the trial; a
        promotion or rollback under way is finished first, which is waited for `patience` seconds. What else is given is
        told at `transitions.begin`.

        Raises:
            Rejected: The target was rolled back before, and nobody cleared it.
            Unreachable: A platform did not answer for a minute. (`Busy`: it throttled, or the endpoint was changing.)
            RolloutError: It cannot be done; the message says why.
        """

        def begin(state: RolloutState) -> RolloutState:
            if state.phase in _ENDING:
                raise Busy(f"the rollout of {state.endpoint} is {state.phase.value} since a moment ago: release again")
            now = self._clock.time()
            return transitions.begin(state, target, pair_config, plan, now, shadow_config=shadow_config, beside=beside)

        self._begin(begin, patience)
        try:
            return self.tick()
        except (Busy, Unreachable, Conflict) as error:  # it is begun: the next tick goes on
            return Progress(self._journal.read(), None, str(error))

    def tick(self, *, patience: float = 0) -> Progress:
        """Do all that can be done now; first of all, take back what rings.

        Args:
            patience: How long to wait within the call for the endpoint to change, seconds.

        Raises:
            Unreachable: A platform does not answer; the next tick goes on from there.
            Busy: The journal is throttled; the next tick goes on from there.
        """
        withheld = self._levels.look()
        progress = self._loop.run(self._clock.time() + patience, withheld=withheld)
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
        """Give the champion everything back, or, when nothing is on trial, bring back the previous champion.

        The traffic is moved first. Returns when the endpoint has taken it, which is tried for `patience` seconds; later
        ticks finish the rest. What else is given is told at `endings.turn_back`.

        Returns:
            The progress, or why nothing was done.

        Raises:
            RolloutError: There is nothing to go back to.
            Busy: The endpoint did not take it in time. The decision stands: the next tick tries again.
        """

        def decide(state: RolloutState) -> RolloutState | Ignored:
            return endings.turn_back(state, reason, self._clock.time(), variant=variant, at=at, meant=meant)

        until = self._clock.time() + patience
        after = change(self._journal, decide, self._write_or_shift)
        return after if isinstance(after, Ignored) else self._return_traffic(until)

    def status(self) -> Progress:
        """Where the rollout stands, without any effect."""
        state = self._journal.read()
        live = self._loop.live()
        decision = self._looker.decide(state, self._levels.withheld(state))
        return Progress(state, live, decision.reason.text if decision else state.phase.value, decision)

    def follow(
        self,
        seconds: float,
        *,
        poll: float = 2.0,
        progress: Callable[[Progress], None] | None = None,
    ) -> RolloutState:
        """Tick until the rollout is at rest, and nobody sends news of it any more, or the time is over.

        Args:
            seconds: How long to follow.
            poll: The pause between two ticks, seconds.
            progress: Told of every tick.

        Returns:
            The last state; `at_rest` says whether nothing moves without a release, an alarm or a person.
        """
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
        now = self._clock.time()
        return self._outbox.send(change(self._journal, lambda state: transitions.clear(state, release, now)))

    def approve(self, reason: Reason) -> Progress:
        """Let a trial that waits for an approval go on, or give one that is held as much time again.

        See `transitions.approve`.
        """
        change(self._journal, lambda state: transitions.approve(state, reason, self._clock.time()))
        return self.tick()

    def skip_trial(self, release: str, reason: Reason) -> RolloutState:
        """Let a release that could not be put beside the champion take over without a trial when it is released next.

        See `transitions.skip_trial`.
        """
        now = self._clock.time()
        return self._outbox.send(
            change(self._journal, lambda state: transitions.skip_trial(state, release, reason, now))
        )

    def restore(self, wanted: Restored, *, although_rejected: bool = False) -> RolloutState:
        """Want a release again that served before; see `restoring.restore`."""
        now = self._clock.time()
        decide = partial(restoring.restore, wanted=wanted, now=now, although_rejected=although_rejected)
        return self._outbox.send(change(self._journal, decide))

    def lift_restore(self, reason: Reason) -> RolloutState:
        """Let what the config asks for count again; see `restoring.lift`."""
        now = self._clock.time()
        return self._outbox.send(change(self._journal, lambda state: restoring.lift(state, reason, now)))

    def _return_traffic(self, until: float) -> Progress:
        """Roll back until the endpoint has taken it, then do what else can be done at once."""
        progress = self._loop.run(until, _traffic_returned)
        if not progress.in_time:
            raise Busy(f"the endpoint has not taken the rollback yet: {progress.doing}; the next tick tries again")
        self._keep_evidence()
        return self.tick()

    def _keep_evidence(self) -> None:
        """Add to the verdict of a trial that an alarm or a person ended what was known of each metric by then.

        The traffic is back: nothing is lost when that cannot be had.
        """
        with suppress(Busy, Unreachable, Conflict):
            state = self._journal.read()
            decided = state.decided
            if state.phase is not Phase.ROLLING_BACK or decided is None or decided.evidence:
                return
            evidence = self._looker.evidence(state, decided.at)
            if evidence:
                change(self._journal, lambda now: endings.with_evidence(now, decided.rollout_id, evidence))

    def _begin(self, begin: Callable[[RolloutState], RolloutState], patience: float) -> None:
        """Let a promotion or rollback under way end, for `patience` seconds at most; then begin a rollout."""
        until = self._clock.time() + patience
        failing: float | None = None  # since when no attempt has come through
        while True:
            try:
                state = self._journal.read()
                if state.phase in _ENDING or state.phase is Phase.MOVING:  # what has arrived is champion, and no other
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
        """The journal, or what was known of it while it does not answer: for a while it may not."""
        try:
            return self._journal.read()
        except (Busy, Unreachable):
            if known is None:
                raise
            return known

    def _write_or_shift(self, state: RolloutState) -> RolloutState:
        """Record the decision to roll back.

        When the journal cannot take it, give a trial's traffic back all the same; a restored champion waits for the
        journal.
        """
        try:
            return self._journal.write(state)
        except (Busy, Unreachable):
            effect = due(state, self._loop.live(), {}, self._clock.time())
            if isinstance(effect, SetWeights):
                self._loop.perform(effect)
            raise


def _traffic_returned(state: RolloutState, live: Live | None, effect: Effect) -> bool:
    """Whether the endpoint has taken the rollback under way; true when none is under way any more.

    A previous champion is on its way back once its config was asked for. The attempt is counted before it is made, so
    that only an endpoint that changes since then has taken it: one that cannot be read has perhaps never been asked.
    """
    if state.phase is not Phase.RESTORING:
        return not isinstance(effect, SetWeights)
    if isinstance(effect, Wait):
        return live is not None and state.moves > 0
    return not isinstance(effect, UseConfig)
