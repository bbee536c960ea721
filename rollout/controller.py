"""The controller: closes the gap between what the journal asks for and what the endpoint does, effects at the edge.

Any number of controllers may run at once (an update that waits, a scheduled tick, an alarm's handler, a person); they
agree through the journal's compare-and-set, and any of them may be killed at any point.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from rollout import endings, transitions
from rollout.converge import (
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
    subject,
)
from rollout.decision import Decision
from rollout.endings import Ignored
from rollout.observer import Observer
from rollout.outbox import Outbox
from rollout.plan import Plan
from rollout.ports import (
    Approval,
    Busy,
    Clock,
    Conflict,
    Journal,
    Live,
    Notify,
    Registry,
    Replay,
    RolloutError,
    Signals,
    Traffic,
    Unreachable,
)
from rollout.release import Release
from rollout.state import Phase, Reason, RolloutState

_ENDING = frozenset({Phase.PROMOTING, Phase.ROLLING_BACK, Phase.RESTORING})
_EFFECTS = 30  # the most effects of one tick; a rollout needs at most a handful
_CONFLICTS = 20
_REFUSALS = 5  # of one tick, each after somebody else's change; a rollout ends after a handful of those
_OUTAGE = 60.0  # seconds for which a release tries again while a platform does not answer


@dataclass(frozen=True)
class Progress:
    """Where a rollout stands.

    Attributes:
        state: What the journal says.
        live: What the endpoint says; None when it could not be read.
        doing: What happens now, or what is waited for.
        decision: The decision on the trial, when the signals were looked at.
    """

    state: RolloutState
    live: Live | None
    doing: str
    decision: Decision | None = None


class Controller:
    """Drives one endpoint's rollouts.

    Args:
        traffic: Reads and sets what the endpoint serves.
        signals: Observations per variant and window.
        journal: Keeps the state.
        registry: Keeps approval statuses.
        replay: Sends captured requests to a challenger.
        clock: Time and waiting.
        notify: Tells people; None leaves the events to a controller that can.
        poll_seconds: The pause between two attempts while something is waited for.
    """

    def __init__(
        self,
        *,
        traffic: Traffic,
        signals: Signals,
        journal: Journal,
        registry: Registry,
        replay: Replay,
        clock: Clock,
        notify: Notify | None,
        poll_seconds: float = 1.0,
    ) -> None:
        self._traffic, self._journal, self._observer = traffic, journal, Observer(signals, clock)
        self._registry, self._replay, self._clock = registry, replay, clock
        self._outbox = Outbox(journal, notify, clock)
        self._poll = poll_seconds

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
        promotion or rollback under way is finished first.

        Args:
            target: The release that is wanted.
            pair_config: The endpoint config that serves champion and target together; None for a first release.
            plan: How the target earns its traffic.
            shadow_config: The endpoint config that serves the champion and copies requests to the target; needed when
                the plan begins with a shadow step.
            beside: The champion's own config that `pair_config` was made for. A champion that an alarm or a person
                brought back since then has another one: the release is refused, and nothing is moved.
            patience: How long to wait for a promotion or rollback under way, seconds.

        Raises:
            Rejected: The target was rolled back before, and nobody cleared it.
            Unreachable: A platform did not answer for a minute. (`Busy`: it throttled, or the endpoint was changing.)
            RolloutError: It cannot be done; the message says why.
        """
        until = self._clock.time() + patience
        again = self._clock.time() + min(patience, _OUTAGE)
        while True:
            try:
                self._begin(target, pair_config, plan, (shadow_config, beside), until)
                break
            except (Busy, Unreachable):
                if self._clock.time() >= again:
                    raise
                self._clock.sleep(self._poll)
        try:
            return self.tick()
        except (Busy, Unreachable, Conflict) as error:  # it is begun: the next tick goes on
            return Progress(self._journal.read(), None, str(error))

    def _begin(
        self,
        target: Release,
        pair_config: str | None,
        plan: Plan,
        planned: tuple[str | None, str | None],
        until: float,
    ) -> None:
        """Record that the target is wanted, once what is under way has ended."""
        shadow_config, beside = planned
        for _ in range(_CONFLICTS):
            state = self._journal.read()
            if state.phase in _ENDING:
                self._finish(state, until)
                continue
            after = transitions.begin(
                state, target, pair_config, plan, self._clock.time(), shadow_config=shadow_config, beside=beside
            )
            if after is state or self._write(after) is not None:
                return
        raise Conflict("the journal keeps changing: another release is being made of the same endpoint")

    def tick(self, *, patience: float = 0) -> Progress:
        """Do all that can be done now.

        Args:
            patience: How long to wait within the call for the endpoint to change, seconds.

        Raises:
            Unreachable: A platform does not answer; the next tick goes on from there.
        """
        progress = self._run(self._clock.time() + patience)
        return replace(progress, state=self._outbox.send(progress.state))

    def roll_back(
        self,
        reason: Reason,
        *,
        variant: str | None = None,
        at: float | None = None,
        rollout_id: str | None = None,
        meant: str | None = None,
        patience: float = 45,
    ) -> Progress | Ignored:
        """Give the champion everything back, or, when nothing is on trial, bring back the previous champion.

        The traffic is moved first. Returns when the endpoint has taken it; later ticks finish the rest.

        Args:
            reason: Who asks and why.
            variant: The variant that an alarm is about: it acts only on the challenger's, or, for a time after a
                promotion, on the champion's. None when a person asks.
            at: When the event happened, epoch seconds; events older than the rollout are ignored.
            rollout_id: The rollout that is meant; events of others are ignored.
            meant: The id of the release that a person wants to be taken back; nothing is done if by now it is another.
            patience: How long to keep trying while the endpoint does not take it, seconds.

        Returns:
            The progress, or why nothing was done.

        Raises:
            RolloutError: There is nothing to go back to.
            Busy: The endpoint did not take it in time. The decision stands: the next tick tries again.
        """
        until = self._clock.time() + patience
        for _ in range(_CONFLICTS):
            state = self._journal.read()
            if rollout_id is not None and rollout_id != state.rollout_id:
                return Ignored(f"the event is about rollout {rollout_id}, the present one is {state.rollout_id}")
            after = endings.turn_back(state, reason, self._clock.time(), variant=variant, at=at, meant=meant)
            if isinstance(after, Ignored):
                return after
            if after is state or self._write_or_shift(after) is not None:
                return self._land(until)
        raise Conflict("the journal keeps changing: call again")

    def status(self) -> Progress:
        """Where the rollout stands, without any effect."""
        state = self._journal.read()
        live = self._live()
        decision = self._observer.decide(state)
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
            The last state; `at_rest` says whether it is over.
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
        """Let a rejected release be tried again.

        Args:
            release: Its id, or a recipe digest: then every image of it.

        Raises:
            RolloutError: No such release was rejected.
        """
        for _ in range(_CONFLICTS):
            state = self._journal.read()
            left = {key: item for key, item in state.rejected.items() if release not in {key, item.recipe}}
            if len(left) == len(state.rejected):
                known = ", ".join(item.release for item in state.rejected.values()) or "none"
                raise RolloutError(f"release {release!r} is not rejected; rejected are: {known}")
            cleared = replace(state, rejected=left)
            written = self._write(cleared.noting(self._clock.time(), "cleared", f"{release} may be tried again"))
            if written is not None:
                return self._outbox.send(written)
        raise Conflict("the journal keeps changing: call again")

    def approve(self, reason: Reason) -> Progress:
        """Let a trial that waits for an approval go on, or give one that is held as much time again.

        Args:
            reason: Who approves and why.

        Raises:
            RolloutError: Nothing waits for a person, or there is no more time to give.
        """
        for _ in range(_CONFLICTS):
            if self._write(transitions.approve(self._journal.read(), reason, self._clock.time())) is not None:
                return self.tick()
        raise Conflict("the journal keeps changing: call again")

    def skip_trial(self, release: str, reason: Reason) -> RolloutState:
        """Let a release that could not be put beside the champion take over without a trial when it is released next.

        Args:
            release: The release's short id, or its recipe digest.
            reason: Who wants it and why.

        Raises:
            RolloutError: The last rollout was not that release's, or it had its trial.
        """
        for _ in range(_CONFLICTS):
            written = self._write(transitions.waive(self._journal.read(), release, reason, self._clock.time()))
            if written is not None:
                return self._outbox.send(written)
        raise Conflict("the journal keeps changing: call again")

    def _run(self, until: float, enough: Callable[[Effect, RolloutState], bool] | None = None) -> Progress:
        """Perform effects until nothing is left, or only waiting, and the time is over."""
        last: Effect | None = None
        performed = refused = 0
        while True:
            state = self._journal.read()
            live = self._live()
            effect = self._due(state, live)
            if enough is not None and enough(effect, state):
                return Progress(state, live, state.phase.value)
            if isinstance(effect, Look):
                decision, after = self._observer.look(state)
                if after is state:
                    return Progress(state, live, decision.reason.text if decision else "", decision)
                effect = Record(after)
            if isinstance(effect, Rest):
                return Progress(state, live, "at rest")
            doing = effect.why if isinstance(effect, Wait) else ""
            # The same effect once more is one that the endpoint does not show yet.
            if not isinstance(effect, Wait) and (isinstance(effect, Record) or effect != last):
                try:
                    self._perform(effect)
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
            if self._clock.time() >= until:
                return Progress(state, live, doing or "waiting for the endpoint")
            self._clock.sleep(self._poll)

    def _due(self, state: RolloutState, live: Live | None) -> Effect:
        """The next effect. The registry is asked only when its answer decides: traffic never waits for it."""
        effect = due(state, live, None, self._clock.time())
        if not isinstance(effect, SetApproval):
            return effect
        return due(state, live, self._approval(state), self._clock.time())

    def _overtaken(self, effect: Effect, state: RolloutState, live: Live | None) -> bool:
        """Whether the journal or the endpoint is no longer what the effect was found from.

        Then another controller was first (an alarm took the variant away, say, that was to get weight), and that the
        platform refused the effect is no error: the next one is found from what is there now.
        """
        known = [state]
        if isinstance(effect, UseConfig) and effect.attempt is not None:
            known.append(effect.attempt.written())  # by this controller itself
        return self._journal.read() not in known or self._live() != live

    def _perform(self, effect: Effect) -> None:
        if isinstance(effect, SetWeights):
            self._traffic.set_weights(effect.weights)
        elif isinstance(effect, UseConfig):
            self._use_config(effect)
        elif isinstance(effect, Rehearse):
            self._rehearse(effect)
        elif isinstance(effect, SetApproval):
            self._set_approval(effect)
        elif isinstance(effect, Record):
            self._journal.write(effect.state)

    def _use_config(self, effect: UseConfig) -> None:
        """Count the attempt first, so that whoever comes after a killed controller knows of it; then ask.

        What was throttled was no attempt: it says nothing about whether the config comes up.
        """
        counted = None if effect.attempt is None else self._journal.write(effect.attempt)
        try:
            self._traffic.use_config(effect.name, effect.guard)
        except Busy:
            if counted is not None:
                with suppress(Busy, Unreachable, Conflict):
                    self._journal.write(replace(counted, moves=counted.moves - 1))
            raise

    def _set_approval(self, effect: SetApproval) -> None:
        """Set it; an alarm's rollback that another controller ended just before an approval has the last word."""
        self._registry.set_approval(effect.package, effect.approval, effect.why)
        if effect.approval == "Approved" and effect.release is not None:
            rejected = self._journal.read().rejected.get(effect.release)
            if rejected is not None:
                self._registry.set_approval(effect.package, "Rejected", rejected.reason.text)

    def _rehearse(self, effect: Rehearse) -> None:
        """Replay, and record the outcome on the state of then: what was decided meanwhile stands."""
        outcome = self._replay.run(effect.champion, effect.challenger, effect.requests)
        state = self._journal.read()
        same = state.challenger is not None and state.challenger.variant == effect.challenger
        if same and state.on_trial and state.replayed is None:
            self._journal.write(transitions.replayed(state, outcome, self._clock.time()))

    def _land(self, until: float) -> Progress:
        """Roll back until the traffic has moved, then do what else can be done at once."""
        waiting: list[Effect] = []

        def landed(effect: Effect, state: RolloutState) -> bool:
            waiting[:] = [effect]
            moving = isinstance(effect, SetWeights) or (
                state.phase is Phase.RESTORING and isinstance(effect, UseConfig)
            )
            return not moving

        progress = self._run(until, landed)
        if waiting and not landed(waiting[0], progress.state):
            raise Busy(f"the endpoint has not taken the rollback yet: {progress.doing}; the next tick tries again")
        return self.tick()

    def _finish(self, state: RolloutState, until: float) -> None:
        while state.phase in _ENDING:
            if self._clock.time() >= until:
                raise Busy(
                    f"the rollout of {state.endpoint} is still {state.phase.value}: release again when it is done"
                )
            state = self.tick().state
            if state.phase in _ENDING:
                self._clock.sleep(self._poll)

    def _read_or(self, known: RolloutState | None) -> RolloutState:
        """The journal, or what was known of it while it does not answer: for a while it may not."""
        try:
            return self._journal.read()
        except (Busy, Unreachable):
            if known is None:
                raise
            return known

    def _live(self) -> Live | None:
        try:
            return self._traffic.read()
        except (Busy, Unreachable):
            return None

    def _approval(self, state: RolloutState) -> Approval | None:
        release = subject(state)
        if release is None:
            return None
        try:
            return self._registry.approval(release.model_package_arn)
        except (Busy, Unreachable):
            return None  # then it is set once more

    def _write(self, state: RolloutState) -> RolloutState | None:
        try:
            return self._journal.write(state)
        except Conflict:
            return None

    def _write_or_shift(self, state: RolloutState) -> RolloutState | None:
        """Record the decision to roll back; when the journal cannot take it, move the traffic all the same."""
        try:
            return self._write(state)
        except (Busy, Unreachable):
            effect = due(state, self._live(), None, self._clock.time())
            if isinstance(effect, SetWeights):
                self._perform(effect)
            raise
