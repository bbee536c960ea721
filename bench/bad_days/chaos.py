"""The ports over a simulated endpoint, through a network where any call may be late, refused, lost, or the last one.

Each call lets time pass, so whatever is due by then happens in the middle of it: another controller's tick, an alarm, a
person. A controller that is killed raises `Killed`, which nothing of the product may catch.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

from bench.bad_days.simulated_endpoint import BAD, Endpoint, Timeline
from modelstack.records.audit.record import AuditRecord
from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.controller.ports import Quantile, SignalQuery
from modelstack.rollout.controller.recorder import Recorder
from modelstack.rollout.core.decision import TrialObservations
from modelstack.rollout.core.errors import Busy, Conflict, Unreachable
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.failing import FAILED
from modelstack.rollout.core.firing_alarms import VariantAlarm
from modelstack.rollout.core.live import Approval, Live
from modelstack.rollout.core.plan import Guard
from modelstack.rollout.core.state import Replayed, RolloutState
from modelstack.rollout.core.verdict import Outcome
from modelstack.rollout.judge.metrics import Tally, Window
from modelstack.rollout.reason import Reason

REQUESTS = 20  # a second
_T = TypeVar("_T")
PARTS = ("journal", "endpoint", "registry", "topic", "metrics", "alarms", "records")
"""What the network leads to."""


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Network:
    """How calls fare.

    Attributes:
        timeline: Time.
        random: Decides it.
        killing: The probability that a process ends at one side of a call.
        losing: The probability that an answer is lost though the call was carried out.
        down: Part -> how its calls fail: `refused` before anything happened, `throttled`, or `lost` after it.
    """

    timeline: Timeline
    random: random.Random
    killing: float = 0.0
    losing: float = 0.0
    down: dict[str, str] = field(default_factory=dict[str, str])

    def call(self, part: str, do: Callable[[], _T]) -> _T:
        """One call."""
        self._pass()
        how = self.down.get(part, "")
        if how == "refused":
            raise Unreachable(f"the {part} does not answer")
        if how == "throttled":
            raise Busy(f"the {part} is throttled")
        answer = do()
        self._pass()
        if how == "lost" or self.random.random() < self.losing:
            raise Unreachable(f"the answer of the {part} was lost")
        return answer

    def _pass(self) -> None:
        late = self.killing and self.random.random() < 0.03  # a process that is paused, and goes on later
        self.timeline.sleep(self.random.choice([5.0, 45.0]) if late else 0.05)
        if self.random.random() < self.killing:
            raise Killed


@dataclass
class World:
    """All that controllers share, and what was seen of it.

    Attributes:
        timeline: Time.
        endpoint: The endpoint.
        network: What leads to everything.
        state: The journal.
        packages: Package -> approval status.
        noted: Every event that the journal ever held for sending.
        ends: Every end of a rollout that the journal ever took, in order: its id, outcome and release.
        records: The audit store: number -> record.
        sent: Every event that was sent.
        champions: The ids of all releases that were champion.
        late: Configs that a controller asked for that had been paused until nobody named them any more.
        largest: The largest journal so far, bytes.
        wrong: What must never happen, and did.
        tell: Is told what happens.
    """

    timeline: Timeline
    endpoint: Endpoint
    network: Network
    state: RolloutState = field(default_factory=lambda: RolloutState("endpoint"))
    packages: dict[str, Approval] = field(default_factory=dict[str, Approval])
    noted: list[Event] = field(default_factory=list[Event])
    ends: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    records: dict[int, AuditRecord] = field(default_factory=dict[int, AuditRecord])
    sent: list[Event] = field(default_factory=list[Event])
    champions: set[str] = field(default_factory=set[str])
    late: set[str] = field(default_factory=set[str])
    largest: int = 0
    wrong: list[str] = field(default_factory=list[str])
    tell: Callable[[str], None] = lambda _: None

    def left_to_judge(self, state: RolloutState, variant: str) -> bool:
        """Whether an alarm of the challenger says nothing of it, as the champion fails alike and both are compared."""
        champion, plan = state.champion, state.plan
        judged = state.on_trial and champion is not None and plan is not None and not plan.at_once
        return judged and champion.variant != variant and self.endpoint.rates.get(champion.variant, 0.0) >= BAD

    def controller(self) -> Controller:
        """A new process over new ports."""
        looked = [self.timeline.time()]
        return Controller(
            traffic=_Traffic(self, looked),
            signals=_Signals(self),
            alarms=_Alarms(self, looked),
            journal=_Journal(self),
            registry=_Registry(self),
            replay=_Replay(self),
            clock=self.timeline,
            notify=_Topic(self),
        )

    def recorder(self) -> Recorder:
        """What puts the audit record away, in a new process."""
        return Recorder(_Journal(self), _Records(self))


@dataclass
class _Traffic:
    world: World
    looked: list[float]

    def read(self) -> Live:
        return self.world.network.call("endpoint", self.world.endpoint.describe)

    def set_weights(self, weights: Mapping[str, int]) -> None:
        self.world.network.call("endpoint", lambda: self._set(weights))

    def use_config(self, name: str, guard: Guard | None = None) -> bool:
        self.world.network.call("endpoint", lambda: self._use(name, guard))
        return True

    def _use(self, name: str, guard: Guard | None) -> None:
        self.world.endpoint.update(name, guarded=guard is not None)
        if name not in self.world.state.configs():
            self.world.late.add(name)

    def _set(self, weights: Mapping[str, int]) -> None:
        endpoint, state = self.world.endpoint, self.world.state
        before = dict(endpoint.going)
        endpoint.set_weights(weights)
        challenger, champion = state.challenger, state.champion
        if challenger is None or champion is None or endpoint.rates.get(champion.variant, 0.0) >= BAD:
            return  # an outage of both is the judge's
        gained = endpoint.going.get(challenger.variant, 0.0) > 0 >= before.get(challenger.variant, 0.0)
        if gained and endpoint.firing.get(challenger.variant, float("inf")) <= self.looked[0]:
            self.world.wrong.append(f"{challenger.variant} got traffic while its alarm fired")


@dataclass
class _Alarms:
    world: World
    looked: list[float]

    def firing(self, state: RolloutState) -> tuple[VariantAlarm, ...]:
        return self.world.network.call("alarms", lambda: self._firing(state))

    def _firing(self, state: RolloutState) -> tuple[VariantAlarm, ...]:
        self.looked[0] = self.world.timeline.time()
        fires = self.world.endpoint.firing.items()
        return tuple(
            VariantAlarm(name, alarm_on(name), at) for name, at in fires if not self.world.left_to_judge(state, name)
        )


@dataclass
class _Journal:
    world: World

    def read(self) -> RolloutState:
        return self.world.network.call("journal", lambda: self.world.state)

    def write(self, state: RolloutState) -> RolloutState:
        return self.world.network.call("journal", lambda: self._write(state))

    def _write(self, state: RolloutState) -> RolloutState:
        world = self.world
        if state.revision != world.state.revision:
            raise Conflict(f"the journal is at revision {world.state.revision}, not at {state.revision}")
        after = state.written("somebody")
        if state.revision % 16 == 0:  # it passes through JSON each time elsewhere; that takes most of a run
            text = after.to_json()
            after, world.largest = RolloutState.from_json(text), max(world.largest, len(text))
        for event in after.history[-1:]:
            if event not in world.state.history:
                world.tell(f"     {event.text}")
        new = [event for event in after.history[-4:] if event not in world.state.history]
        world.ends += [(one.rollout_id, one.kind, one.release) for one in new if one.kind in get_args(Outcome)]
        world.noted += [event for event in after.outbox if event not in world.state.outbox]
        if after.champion is not None:
            world.champions.add(after.champion.id)
        world.state = after
        return after


@dataclass
class _Registry:
    world: World

    def approval(self, package: str) -> Approval:
        return self.world.network.call("registry", lambda: self.world.packages.get(package, "PendingManualApproval"))

    def set_approval(self, package: str, approval: Approval, why: str) -> None:
        def put() -> None:
            self.world.packages[package] = approval

        self.world.network.call("registry", put)


@dataclass
class _Records:
    world: World

    def put(self, record: AuditRecord) -> None:
        self.world.network.call("records", lambda: self._put(record))

    def _put(self, record: AuditRecord) -> None:
        there = self.world.records.setdefault(record.number, record)
        if there != record:
            self.world.wrong.append(f"two records have number {record.number}: {there} and {record}")


@dataclass
class _Topic:
    world: World

    def send(self, event: Event) -> None:
        self.world.network.call("topic", lambda: self.world.sent.append(event))


@dataclass
class _Signals:
    world: World

    def read(self, ask: SignalQuery) -> TrialObservations:
        try:
            return self.world.network.call("metrics", lambda: TrialObservations(tuple(self._windows(ask))))
        except (Busy, Unreachable) as error:
            return TrialObservations.unknown(str(error))

    def quantile(self, variant: str, quantile: float, start: float, end: float) -> Quantile | None:
        return None

    def _windows(self, ask: SignalQuery) -> list[Window]:
        width = ask.window_seconds
        first = int(-(-ask.start // width) * width)
        return [self._window(ask, at) for at in range(first, int(ask.end) - width + 1, width)]

    def _window(self, ask: SignalQuery, at: int) -> Window:
        middle = at + ask.window_seconds / 2
        _, config, shares = _at(self.world.endpoint.history, middle)
        _, rates = _at(self.world.endpoint.rate_history, middle)
        shadow = self.world.endpoint.configs[config].shadow
        copied = {shadow[0]: shadow[1] / 100} if shadow else {}

        def tallies(variant: str) -> dict[str, Tally]:
            count = round(REQUESTS * ask.window_seconds * {**shares, **copied}.get(variant, 0.0))
            tally = Tally(count, round(count * rates.get(variant, 0.0)))
            return {"errors": tally, FAILED: tally}

        return Window(at, ask.window_seconds, tallies(ask.champion), tallies(ask.challenger))


def _at(history: list[Any], when: float) -> Any:
    """The last entry that begins before a time."""
    return next(entry for entry in reversed(history) if entry[0] <= when)


@dataclass
class _Replay:
    world: World

    def run(self, champion: str, challenger: str, requests: int, before: Replayed) -> Replayed:
        return self.world.network.call("endpoint", lambda: Replayed(before.requests + requests, 0, 0, 1.0))


def alarm_on(variant: str) -> Reason:
    """Why a variant is taken back that fails too often."""
    return Reason("alarm", f"{variant}-5xx", "too many requests fail")
