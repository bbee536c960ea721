"""A stage in memory: the simulated platform with its alarms, in simulated time.

Answers are counted per second. It does not model how a real platform counts or fires; such rows also play on one.
"""

from __future__ import annotations

import json
import math
import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

from modelstack.monitoring.alarms.alarm import Alarm, Measure, Said
from modelstack.monitoring.alarms.alike import Numbers
from modelstack.monitoring.alarms.outage import Outage, alike
from modelstack.monitoring.alarms.response import respond
from modelstack.monitoring.captured import Side
from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.controller.outbox import Outbox
from modelstack.rollout.core.catalogue import KNOWN, LOSS_MOST, OWN
from modelstack.rollout.core.errors import Busy, Conflict, RolloutError, Unreachable
from modelstack.rollout.core.failing import Counted
from modelstack.rollout.core.firing_alarms import VariantAlarm
from modelstack.rollout.core.live import Approval, Live
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Replayed, RolloutState
from modelstack.rollout.judge.metrics import Metric, Tally
from modelstack.services.invoke import Request, Response
from modelstack.services.journal import CopiedJournal, DocumentJournal
from modelstack.services.replay import Exchange, replay
from modelstack.services.signals import CountedSignals
from tests.conformance import mortal
from tests.conformance.stage import SLOW_MS, TOLERATED, Call, Effect, FaultStage, Killed, Message
from tests.platforms.aws.on_cloud import PREDICTION
from tests.platforms.load import Asked, Load
from tests.rollout.worlds import release as make_release
from tests.services.memory import MemoryDocuments
from tests.simulator.answers import Answered
from tests.simulator.platform import MemoryCounters, MemoryJournal, MemoryNotify, MemoryRegistry, MemoryTraffic, World

RATE = 20  # requests a second
_ENDPOINT = "endpoint"
_LOOKS_BACK = 10.0  # seconds that an alarm looks at
_FORCED = 2.0  # seconds for which an alarm fires that a row lets fire
_AGAIN = 2.0  # seconds until an alarm is delivered again that could not be acted upon
_LONGEST = 20_000  # seconds of simulated time that anything may take
_MEASURES: Mapping[str, Measure] = {"5xx": "errors", "p99": "latency"}
_CHANGES: frozenset[Call] = frozenset({"write journal", "use config", "set weights", "set approval", "notify"})
_HEALTHY: dict[str, Any] = {"status": 200, "share": 1.0, "delay": 0.01, "delayed": 1.0, "answer": PREDICTION}
Place = tuple[str, str]  # variant and measure of an alarm


class _Dead(BaseException):
    pass


@dataclass
class _Fault:
    call: Call
    effect: Effect
    calls: int | None
    seconds: float


class _Observed(Answered):
    def __init__(self, source: Any) -> None:
        super().__init__(source)
        self.published: dict[tuple[str, str, str], float] = {}

    def tally(self, metric: Metric, variant: str, start: float, end: float, cut: float | None) -> Tally:
        if not metric.metric:
            return super().tally(metric, variant, start, end, cut)
        value = self.published.get((variant, metric.namespace, metric.metric))
        count = self.count(variant, start, end) if value is not None else 0
        return Tally(count, round(count * (value or 0.0), 6), count * (value or 0.0) ** 2)


@dataclass
class _Cloud(World):
    """A world that keeps every answered request in `asked`; it asks `target` by name, or lets the weights decide."""

    target: str = ""
    asked: list[Asked] = field(default_factory=list[Asked])

    def __post_init__(self) -> None:
        super().__post_init__()
        self.answered = self.observed = _Observed(self._random)

    def _chosen(self, requests: int) -> list[str]:
        return [self.target] * requests if self.target else super()._chosen(requests)

    def answers(self, variant: str, at: float, count: int, lost: int, failed: int) -> None:
        self.asked += [Asked("", at, 503, "")] * lost + [Asked("", at, 500, variant)] * failed
        self.asked += [Asked("", at, 200, variant)] * (count - lost - failed)


class MemoryStage(FaultStage):
    one_more = 3

    def __init__(self) -> None:
        self.releases, self.ran = {}, []
        self._how: dict[str, dict[str, Any]] = {}
        self.world = _Cloud({"solo-champion": {"v-champion": 1.0}}, "solo-champion", requests_per_second=RATE)
        self.world.clock.watchers.append(self)
        self._faults: list[_Fault] = []
        self._declared: set[Place] = set()
        self._since: dict[Place, float] = {}
        self._forced: dict[Place, float] = {}
        self._fired: dict[Place, str] = {}
        self._subscribed = self._delivering = False
        self._queue: list[tuple[float, str]] = []
        self._copy = DocumentJournal(MemoryDocuments(), _ENDPOINT)

    # Time

    def now(self) -> float:
        return self.world.clock.time()

    def wait(self, question: Callable[[], Any], doing: str) -> Any:
        until = self.now() + _LONGEST
        while not (answer := question()):
            assert self.now() < until, f"{doing}: still {answer!r}"
            self.world.clock.sleep(1)
        return answer

    def at_once(self, *calls: Callable[[], Any]) -> None:
        for call in calls:
            call()

    def pass_time(self, now: float, seconds: float) -> None:
        for place in self._declared:
            if self._forced.get(place, 0.0) >= now:
                continue
            bad, requests = self._counts(*place, now)
            if bad >= 3 and bad / requests > TOLERATED:
                self._fires(place, now)
            else:
                self._since.pop(place, None)
        self._deliver_due(now)

    def _counts(self, variant: str, measure: str, now: float) -> tuple[int, int]:
        answered, start, end = self.world.answered, now - _LOOKS_BACK, now + 1
        if measure == "5xx":
            found = answered.tally(KNOWN["errors"], variant, start, end, None)
            return int(found.total), found.count
        slow = answered.milliseconds(variant, start, end)
        return sum(one > SLOW_MS for one in slow), len(slow)

    def _fires(self, place: Place, at: float) -> None:
        if place in self._since:
            return
        self._since[place] = at
        self._fired[place] = message = json.dumps([*place, at])
        if self._subscribed:
            self._queue.append((at, message))

    def _deliver_due(self, now: float) -> None:
        if self._delivering:
            return
        self._delivering = True
        due = [item for item in self._queue if item[0] <= now]
        self._queue = [item for item in self._queue if item[0] > now]
        for _, message in due:
            try:
                self._respond(message)
            except RolloutError:
                self._queue.append((now + _AGAIN, message))
        self._delivering = False

    # What is there

    def release(self, role: str, **behaviour: Any) -> Release:
        made = make_release(role)
        self.releases[role] = made
        self.world.configs[made.config_name] = {made.variant: 1.0}
        self.become(role, **behaviour)
        if behaviour.get("start") == "raise":
            self.breaks_archive(role)
        return made

    def pair(self, champion: str, challenger: str) -> str:
        name = f"pair-{champion}-{challenger}"
        self.world.configs[name] = {f"v-{champion}": 1.0, f"v-{challenger}": 0.0}
        return name

    def shadow(self, champion: str, challenger: str) -> str:
        name = f"shadow-{champion}-{challenger}"
        self.world.configs[name] = {f"v-{champion}": 1.0}
        self.world.shadows[name] = (f"v-{challenger}", 100)
        return name

    def serve(self, role: str) -> None:
        assert self.live().config == self.releases[role].config_name

    def controller(self, die: mortal.Die = lambda kind: None) -> Controller:
        world, through = self.world, partial(self._through, die)
        return world.controller(
            traffic=through(
                MemoryTraffic(world), read="read endpoint", use_config="use config", set_weights="set weights"
            ),
            journal=through(self._journal(), read="read journal", write="write journal"),
            registry=through(MemoryRegistry(world), set_approval="set approval"),
            notify=through(MemoryNotify(world), send="notify"),
            signals=CountedSignals(through(MemoryCounters(world), counts="read metrics")),
            alarms=self,
            replay=self,
        )

    def _journal(self) -> CopiedJournal:
        return CopiedJournal(_Primary(self.world), self._copy)

    def _through(self, die: mortal.Die, port: Any, **calls: Call) -> Any:
        stage = self

        class Through:
            def __getattr__(self, name: str) -> Any:
                method = getattr(port, name)
                return partial(stage.called, calls[name], method, die) if name in calls else method

        return Through()

    def called(self, call: Call, method: Callable[..., Any], die: mortal.Die, *given: Any) -> Any:
        """Call a port, unless a fault of the stage is about this call."""
        fault = next((one for one in self._faults if one.call == call and one.calls != 0), None)
        if fault is not None:
            fault.calls = fault.calls - 1 if fault.calls is not None else None
            self.world.clock.sleep(fault.seconds)
            if fault.effect == "throttle":
                raise Busy(f"{call}: too many requests")
            if fault.effect != "drop_after":
                raise Unreachable(f"{call}: no answer")
        answer = method(*given)
        if fault is not None:
            raise Unreachable(f"{call}: the answer was lost")
        if call in _CHANGES:
            die(f"{call} {_kind(call, given)}")
        return answer

    def state(self) -> RolloutState:
        return self.world.state

    def live(self) -> Live:
        return self.world.live()

    def approval(self, role: str) -> Approval:
        return MemoryRegistry(self.world).approval(self.releases[role].version)

    def load(self, *, target: str | None = None, rate: float = 10, workers: int = 2) -> Any:
        """Requests come all the time; of a load that is asked for, these are kept."""
        self.world.target = target or self.world.target
        return _Load(self.world.asked)

    def close(self) -> None:
        """Nothing runs."""

    # Alarms, and what people are told

    def rolls_back_on_alarm(self) -> None:
        self._subscribed = True

    def declare_alarm(self, role: str, measure: str) -> None:
        self._declared.add((f"v-{role}", measure))

    def fired(self, role: str, measure: str = "5xx") -> str:
        return str(self.wait(lambda: self._fired.get((f"v-{role}", measure)), f"{measure} of {role} fires"))

    def fire(self, role: str, measure: str = "5xx") -> str:
        place = (f"v-{role}", measure)
        self._since.pop(place, None)
        self._forced[place] = self.now() + _FORCED
        self._fires(place, self.now())
        self._deliver_due(self.now())
        return self._fired[place]

    def deliver(self, message: str, times: int = 1) -> list[dict[str, Any]]:
        answers = [self.wait(partial(self._tried, message), "the alarm is acted upon") for _ in range(times)]
        self.ran += answers
        return answers

    def _tried(self, message: str) -> dict[str, Any] | None:
        try:
            return self._respond(message)
        except RolloutError:
            return None

    def _respond(self, message: str) -> dict[str, Any]:
        variant, measure, at = json.loads(message)
        controller = self.controller()
        outbox = Outbox(self._journal(), MemoryNotify(self.world), self.world.clock)
        outage = Outage(self.numbers, outbox)
        return respond(self._alarm((variant, measure), at), _ENDPOINT, controller, outage, patience=0).as_dict()

    def _alarm(self, place: Place, at: float) -> Alarm:
        variant, measure = place
        return Alarm(
            f"{_ENDPOINT}-{variant}-{measure}", "ALARM", Said("too many are bad"), at, _ENDPOINT, variant,
            ("simulated/answers",), _MEASURES[measure],
        )  # fmt: skip

    def numbers(self, alarm: Alarm, champion: str) -> Numbers:
        measure = alarm.name.rpartition("-")[2]
        each = [Counted(*self._counts(str(variant), measure, self.now())) for variant in (alarm.variant, champion)]
        return Numbers(TOLERATED, *each, champion_fires=(champion, measure) in self._since)

    def firing(self, state: RolloutState) -> tuple[VariantAlarm, ...]:
        """The alarms of both versions that fire, but for those that are left to the judge."""
        variants = {one.variant for one in (state.champion, state.challenger) if one is not None}
        alarms = [self._alarm(place, at) for place, at in self._since.items() if place[0] in variants]
        return tuple(
            VariantAlarm(str(alarm.variant), alarm.reason, alarm.at or 0.0)
            for alarm in alarms
            if alike(state, self._alarm((str(alarm.variant), alarm.name[-3:]), self.now()), self.numbers) is None
        )

    def told(self, kind: str, rollout_id: str) -> list[Message]:
        sent = [event for event in self.world.sent if (event.kind, event.rollout_id) == (kind, rollout_id)]
        return [Message(event.text, {"why": event.reason.text if event.reason else ""}) for event in sent]

    # Disturbances

    def fault(self, call: Call, effect: Effect, calls: int | None = None, *, seconds: float = 0) -> None:
        self._faults.append(_Fault(call, effect, calls, seconds))

    def lose_journal(self, older: RolloutState | None = None, *, copy: bool = False) -> None:
        self.world.state = older or RolloutState(_ENDPOINT)
        if copy:
            documents = self._copy.documents
            documents.transact([], list(documents.get([f"journal#{_ENDPOINT}"]).values()))
            if older:
                self._copy.put(older)

    def end_faults(self) -> None:
        self._faults.clear()

    def impatient(self, read_timeout: float) -> None:
        """A call that hangs here ends by itself."""

    def become(self, role: str, **behaviour: Any) -> None:
        variant, how = f"v-{role}", {**_HEALTHY, **behaviour}
        self._how[variant] = how
        self.world.error_rates[variant] = how["share"] if how["status"] != HTTPStatus.OK or "crash" in how else 0.0
        self.world.slow[variant] = (how["delayed"], 1000 * how["delay"])
        self.world.unanswered[variant] = how.get("unanswered", 0.0)

    @contextmanager
    def scaling(self, role: str) -> Generator[None]:
        self.world.change(self.live().config, {name: one.weight for name, one in self.live().variants.items()})
        yield
        assert self.live().status == "changing"

    def breaks_archive(self, role: str) -> None:
        self.world.unstartable.add(f"v-{role}")
        self.world.last_words[f"v-{role}"] = "no module named model"

    def killed(self, asked: Killed) -> tuple[list[int], int]:
        """By an exception that nothing of the product may catch."""
        marks, ends, told = set[str](), list[int](), mortal.orders(self, asked)

        def die(kind: str) -> None:
            if kind not in marks:
                marks.add(kind)
                raise _Dead

        while not ends or ends[-1] != 0:
            try:
                ends.append(mortal.carry_on(told, self.controller(die)))
            except _Dead:
                ends.append(-signal.SIGKILL)
            self.world.clock.sleep(0.2)
        return ends, len(marks)

    # What goes on beside a trial

    def labels(self, label: bool | None) -> AbstractContextManager[None]:
        values = dict[tuple[str, str, str], float]()
        for role in self.releases:
            variant = f"v-{role}"
            answer = json.loads(self._how[variant]["answer"])["predictions"][0]
            late, probability = answer["late"], answer["probability"]
            values[variant, OWN, "InvalidAnswers"] = float(not math.isfinite(probability))
            if label is not None:
                values[variant, OWN, "Accuracy"] = float(late is label)
                right = probability if label else 1 - probability
                values[variant, OWN, "LogLoss"] = min(LOSS_MOST, -math.log(right))
        return self._published(values)

    def publishes(self, namespace: str, metric: str, rates: Mapping[str, float]) -> AbstractContextManager[None]:
        return self._published({(f"v-{role}", namespace, metric): rate for role, rate in rates.items()})

    @contextmanager
    def _published(self, values: Mapping[tuple[str, str, str], float]) -> Generator[None]:
        self.world.observed.published.update(values)
        yield
        self.world.observed.published.clear()

    def run(self, champion: str, challenger: str, requests: int, before: Replayed) -> Replayed:
        """Replay the champion's one answer against the challenger's."""
        answered = Side("application/json", self._how[champion]["answer"].encode())

        def latest(unreadable: Counter[str], after: str) -> Iterator[tuple[str, Exchange]]:
            yield from ((str(n), (answered, answered)) for n in range(requests))

        return replay(latest, self, champion=champion, challenger=challenger, before=before)

    def send(self, request: Request) -> Response:
        how = self._how[request.variant]
        body = how["answer"].encode() if how["status"] == HTTPStatus.OK else b""
        return Response(how["status"], body, how["delay"], request.variant)

    def captured(self) -> None:
        self.wait(lambda: self.timed("champion"), "captures")

    def timed(self, role: str) -> int:
        return self.world.answered.count(f"v-{role}", 0, self.now())


class _Primary(MemoryJournal):
    def put(self, state: RolloutState) -> None:
        if self.world.state.revision >= state.revision:
            raise Conflict(f"the journal is at revision {self.world.state.revision}")
        self.world.state = RolloutState.from_json(state.to_json())


class _Load(Load):
    def __init__(self, asked: list[Asked]) -> None:
        super().__init__(lambda name: Asked(name, 0, 0, ""), "", workers=0)
        self.asked = asked


def _kind(call: Call, given: tuple[Any, ...]) -> str:
    """What tells one step from another."""
    if call == "notify":
        return "any"
    return mortal.of_state(json.loads(given[0].to_json())) if call == "write journal" else str(given[:2])
