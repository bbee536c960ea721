"""A fuzz of the whole controller: a bad day by a seed, and what must be true when it is over.

    python -m bench.bad_days 17            # plays seed 17, and tells what happened
    python -m bench.bad_days 0 10000       # plays so many seeds from the first, and names those that fail

On a bad day releases, alarms, people and faults come in any order, controllers meet, and are killed. Then the faults
end (a version that cannot start stays so), and a scheduled tick is all that goes on. The run must end on a champion
that has all traffic, on a config that works, with a true record, and ready for the next release.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, get_args

from bench.bad_days.chaos import PARTS, Killed, Network, World, alarm_on
from bench.bad_days.simulated_endpoint import Config, Endpoint, Timeline
from bench.rows import Row
from modelstack.records.audit.record import RecordKind
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.plan import Guard, Plan, ReplayGate, Step
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase
from modelstack.rollout.core.verdict import Outcome
from modelstack.rollout.judge.metrics import Metric
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

SEEDS = 10_000
NAMES = "abcde"
NEXT = "z"  # what is released when all is over
DAY = 5 * 3600  # seconds
ACTIONS = 40
LARGEST = 200_000  # bytes of the journal; DynamoDB takes 400 KB an item
_TICK = 60.0
_SETTLES = 900  # ticks after the day; a config that does not start takes 20 minutes to say so
_DEEP = 3  # controllers in the middle of each other
_WORDS = Reason("person", "ada", "as she says", kind=Kind.APPROVED)

_FAST: dict[str, Any] = {
    "metrics": (Metric("errors", "rate", 0.05),), "min_requests": 50, "max_seconds": 5400, "watch_seconds": 3600,
    "max_failed": 0.05,
}  # fmt: skip
PLANS = (
    Plan(steps=(Step(20, 120),), **_FAST),
    Plan(steps=(Step(10, 60), Step(50, 60)), **_FAST),
    Plan(steps=(Step(20, 60, approve=True), Step(50, 60)), **_FAST),
    replace(Plan(steps=(Step(50, 120),), **_FAST, on_timeout="hold"), max_seconds=1800),
    Plan(steps=(Step(100, 300),), **_FAST),
    Plan(steps=(Step(50, 120, shadow=True), Step(20, 60)), **_FAST, replay=ReplayGate()),
)


def release(name: str) -> Release:
    """A release by its short name."""
    return Release(
        id=name, recipe=f"{name}-recipe", package_digest=f"sha256:{name}", archive_uri=f"s3://bucket/{name}/model.tar.gz",
        image_uri="registry/serving:1", manifest_sha256=f"{name}-manifest", version=f"arn:{name}",
        model_name=f"model-{name}", variant=f"v-{name}", config_name=f"solo-{name}", instances="1 x ml.m5.large",
    )  # fmt: skip


def _configs() -> dict[str, Config]:
    names = NAMES + NEXT
    found = {f"solo-{x}{size}": Config({f"v-{x}": 1.0}) for x in names for size in ("", "-large")}
    for x in names:
        for y in names.replace(x, ""):
            for size in ("", "-large"):
                found[f"pair-{x}{size}-{y}"] = Config({f"v-{x}": 1.0, f"v-{y}": 0.0})
                found[f"shadow-{x}{size}-{y}"] = Config({f"v-{x}": 1.0}, (f"v-{y}", 50))
    return found


CONFIGS = _configs()


class BadDay:
    """One run.

    Args:
        seed: Decides everything.
        tell: Is told what happens.
    """

    def __init__(self, seed: int, tell: Callable[[str], None] = lambda _: None) -> None:
        self.random = random.Random(seed)
        self.timeline = Timeline()
        endpoint = Endpoint(self.timeline, self.random, CONFIGS, "solo-a", fires=self._fires)
        self.world = World(self.timeline, endpoint, Network(self.timeline, self.random), tell=self._tell)
        self._to, self._begun, self._deep = tell, self.timeline.time(), 0
        self._updating, self._made = False, set[str]()
        for name in NAMES:
            endpoint.become(f"v-{name}", 0.6 if name != "a" and self.random.random() < 0.3 else 0.0)
        endpoint.become(f"v-{NEXT}", 0.0)

    def _tell(self, what: str) -> None:
        self._to(f"{self.timeline.time() - self._begun:8.0f} s  {what}")

    def run(self) -> list[str]:
        """Play the day and what comes after it; what is wrong at the end."""
        self._act("release a", partial(self._release, "a", PLANS[0], 0))
        network = self.world.network
        network.killing, network.losing = self.random.choice([(0.0, 0.0), (0.003, 0.003), (0.02, 0.02)])
        for _ in range(ACTIONS):
            self.timeline.after(self.random.uniform(0, DAY), self._something)
        self._tick()
        self.timeline.sleep(DAY)
        self._tell("the day is over")
        network.killing = network.losing = 0.0
        network.down.clear()
        self.world.endpoint.no_capacity = False
        self._settle()
        found = [*self.world.wrong, *self._differences()]
        return found or self._next_release()

    # What happens on the day

    def _something(self) -> None:
        """Whatever may happen at any time."""
        name = self.random.choice(NAMES)
        does: list[tuple[int, str, Callable[[], Any]]] = [
            (
                16,
                f"release {name}",
                lambda: self._release(name, self.random.choice(PLANS), self.random.choice([0, 900])),
            ),
            (2, "move", self._move),
            (2, "approve", lambda: self.world.controller().approve(_WORDS)),
            (1, "roll back", lambda: self.world.controller().roll_back(_WORDS)),
            (1, f"roll back {name}", lambda: self.world.controller().roll_back(_WORDS, meant=name)),
            (2, f"clear {name}", lambda: self.world.controller().clear_rejection(name)),
            (2, "skip", lambda: self.world.controller().skip_trial(self._last(), _WORDS)),
        ]
        weather: list[tuple[int, str, Callable[[], None]]] = [
            (5, f"{name} or another changes", lambda: self._change(name)),
            (3, f"{name} cannot start", lambda: self.world.endpoint.unstartable.add(f"v-{name}")),
            (1, "all can start", self.world.endpoint.unstartable.clear),
            (6, "a fault", self._fault),
        ]
        _, what, do = self.random.choices([*does, *weather], [item[0] for item in (*does, *weather)])[0]
        self._act(what, do)

    def _act(self, what: str, do: Callable[[], Any]) -> bool:
        """Let somebody do something; whether it came to its end."""
        if self._deep >= _DEEP:
            self.timeline.after(7, lambda: self._act(what, do))
            return True
        self._deep += 1
        if what != "tick":
            self._tell(f"{what} ...")
        try:
            do()
            return True
        except RolloutError as error:
            self._tell(f"{what}: {error}")
        except Killed:
            self._tell(f"{what}: killed")
        finally:
            self._deep -= 1
        return False

    def _tick(self) -> None:
        """The scheduled function."""
        self.timeline.after(_TICK, self._tick)
        if self._deep < _DEEP:
            self._act("tick", self._scheduled)

    def _scheduled(self) -> None:
        self.world.controller().tick()
        self.world.recorder().put()

    @contextmanager
    def _update(self) -> Generator[None]:
        """An update of the stack: one at a time. At its end it deletes what the journal did not name at its begin."""
        if self._updating:
            raise RolloutError("the stack is currently locked")
        self._updating, endpoint, kept = True, self.world.endpoint, set(self.world.state.configs())
        self._made = set[str]()
        try:
            yield
            unused = CONFIGS.keys() - kept - self._made
            used = sorted({endpoint.serving, endpoint.pending or endpoint.serving} & unused - self.world.late)
            if used:
                self.world.wrong.append(f"{used} was deleted while it was used")
            endpoint.deleted |= unused
        finally:
            self._updating = False

    def _make(self, *names: str | None) -> None:
        """The update makes configs, or keeps them."""
        self._made |= {name for name in names if name}
        self.world.endpoint.deleted -= self._made

    def _release(self, name: str, plan: Plan, follows: float) -> None:
        """An update: it names the pair by the champion that it saw when it began."""
        with self._update():
            self._release_beside(name, plan, follows)

    def _release_beside(self, name: str, plan: Plan, follows: float) -> None:
        champion = self.world.state.champion
        seen = champion.config_name.removeprefix("solo-") if champion else ""
        beside = champion.config_name if champion else None
        if champion is not None and self.random.random() < 0.5:
            self.timeline.sleep(self.random.choice([60.0, 600.0]))  # it trains first
        pair, shadow = (
            (f"pair-{seen}-{name}", f"shadow-{seen}-{name}") if champion and champion.id != name else (None,) * 2
        )
        self._make(pair, shadow, f"solo-{name}")
        controller = self.world.controller()
        controller.release(release(name), pair, plan, shadow_config=shadow, beside=beside, patience=120)
        if follows:
            controller.follow(follows, poll=20)

    def _move(self) -> None:
        champion = self.world.state.champion
        if champion is not None:
            large = champion.config_name.endswith("-large")
            wanted = replace(champion, config_name=f"solo-{champion.id}" + ("" if large else "-large"))
            plan = replace(PLANS[0], guard=self.random.choice([None, Guard("canary", 50, 60, ("alarm",))]))
            with self._update():
                self._make(wanted.config_name)
                self.world.controller().release(wanted, None, plan, patience=60)

    def _last(self) -> str:
        return self.world.state.verdict.release if self.world.state.verdict else "a"

    def _change(self, name: str) -> None:
        state = self.world.state
        served = [item.variant for item in (state.champion, state.challenger) if item is not None]
        variant = self.random.choice([f"v-{name}", *served])
        self.world.endpoint.become(variant, 0.0 if self.world.endpoint.rates.get(variant) else 0.6)

    def _fault(self) -> None:
        part = self.random.choice([*PARTS, "journal", "journal", "capacity"])
        lasts = self.random.choice([60.0, 600.0, 3600.0])
        if part == "capacity":
            self.world.endpoint.no_capacity = True
            self.timeline.after(lasts, lambda: setattr(self.world.endpoint, "no_capacity", False))
            return
        self.world.network.down[part] = self.random.choice(["refused", "throttled", "lost"])
        self._tell(f"the {part} is {self.world.network.down[part]} for {lasts:.0f} s")
        self.timeline.after(lasts, lambda: self.world.network.down.pop(part, None))

    def _fires(self, variant: str) -> None:
        """An alarm goes to ALARM: its topic calls the function, which is called twice more when it fails."""
        self._tell(f"{variant} fires")
        at = self.timeline.time()

        def deliver(left: int) -> None:
            if not self._act(f"the alarm of {variant} is answered", lambda: self._answer(variant, at)) and left:
                self.timeline.after(60, lambda: deliver(left - 1))

        self.timeline.after(self.random.choice([1, 5, 60]), lambda: deliver(2))

    def _answer(self, variant: str, at: float) -> None:
        if not self.world.left_to_judge(self.world.state, variant):
            self.world.controller().roll_back(alarm_on(variant), variant=variant, at=at)

    # What comes after it

    def _settle(self) -> None:
        """Ticks alone, until nothing changes any more; a person decides what waits for one."""
        quiet, before = 0, -1
        for _ in range(_SETTLES):
            self.timeline.sleep(_TICK)
            state = self.world.state
            if state.phase in {Phase.PAUSED, Phase.HELD}:
                self._act("roll back", lambda: self.world.controller().roll_back(_WORDS))
            still = state.revision == before and self.world.endpoint.pending is None
            quiet, before = (quiet + 1 if still else 0), state.revision
            if quiet >= 5 and state.at_rest:
                return

    def _differences(self) -> list[str]:
        """Where the record and what is live do not agree."""
        world, state = self.world, self.world.state
        live, champion = world.endpoint.describe(), state.champion
        if champion is None or state.phase is not Phase.IDLE:
            return [f"it is {state.phase.value}, with champion {champion and champion.id}"]
        found = list[str]()
        if (live.status, live.shares().get(champion.variant)) != ("ready", 100.0):
            found.append(f"{champion.id} is champion, and the endpoint is {live.status} with {live.shares()}")
        if live.config != champion.config_name and not world.endpoint.failed[champion.config_name]:
            found.append(f"{live.config} serves, though {champion.config_name} can")
        if live.config not in state.configs():
            found.append(f"{live.config} serves, and may be deleted: {state.configs()}")
        found += self._of_record()
        if world.largest > LARGEST:
            found.append(f"the journal had {world.largest} bytes")
        return found

    def _of_record(self) -> list[str]:
        world, state = self.world, self.world.state
        champion, found = state.champion, list[str]()
        assert champion is not None
        if (status := world.packages.get(champion.version)) != "Approved":
            found.append(f"champion {champion.id} is {status}")
        found += [
            f"{name} is rejected, its package {world.packages.get(f'arn:{name}')}"
            for name in state.rejected
            if world.packages.get(f"arn:{name}") != "Rejected"
        ]
        approved = {arn.removeprefix("arn:") for arn, status in world.packages.items() if status == "Approved"}
        if approved - world.champions:
            found.append(f"approved though never champion: {sorted(approved - world.champions)}")
        if champion.id in state.rejected:
            found.append(f"champion {champion.id} is rejected")
        if state.outbox:
            found.append(f"{len(state.outbox)} events wait to be sent")
        lost = [event.what for event in world.noted if event not in world.sent]
        if len(lost) > sum(event.numbers["events"] for event in world.sent if event.kind == "untold"):
            found.append(f"never told: {lost[:3]} and {max(0, len(lost) - 3)} more")
        return [*found, *self._of_verdict(), *self._of_alarms(), *self._of_audit()]

    def _of_audit(self) -> list[str]:
        """Whether the audit record is a whole chain, put away, in which every end of a rollout stands once."""
        world, end = self.world, self.world.state.audit
        found, before = list[str](), ""
        records = [record for _, record in sorted(world.records.items())]
        for number, record in enumerate(records, start=1):
            if (record.number, record.before) != (number, before):
                found.append(f"audit record {record.number} does not follow record {number - 1}")
            before = record.digest
        if (len(records), before, end.waiting, end.drafts) != (end.number, end.digest, (), ()):
            found.append(f"{len(records)} audit records are put away, the journal has {end.number}")
        told = [
            (record.what["rollout"], record.what["event"], record.what["release"])
            for record in records
            if record.kind in {RecordKind.VERDICT, RecordKind.PROMOTION, RecordKind.RESTORE}
        ]
        return found if told == world.ends else [*found, f"the ends are {world.ends}, recorded are {told}"]

    def _of_verdict(self) -> list[str]:
        state = self.world.state
        last, verdict = state.last, state.verdict
        ends = [event for event in state.history if event.kind in get_args(Outcome)]
        told = (ends[-1].kind, ends[-1].release, ends[-1].rollout_id) if ends else None
        if last is not None and told != (last.outcome, last.release, last.rollout_id):
            return [f"the last event is {told}, the verdict {(last.outcome, last.release, last.rollout_id)}"]
        if verdict is not None and verdict.outcome == "promoted" and verdict.release not in self.world.champions:
            return [f"{verdict.release} was promoted and was never champion"]
        return []

    def _of_alarms(self) -> list[str]:
        """A champion whose alarm began to fire in its watch time, though the one before it could come back.

        One that fired before the promotion was left to the judge: both versions failed, and it was not worse.
        """
        world, state = self.world, self.world.state
        champion, previous, plan = state.champion, state.previous, state.plan
        if champion is None or previous is None or plan is None or champion.variant not in world.endpoint.firing:
            return []
        since = world.endpoint.firing[champion.variant]
        within = 0 < since - state.promoted_at <= plan.watch_seconds
        if (
            within
            and previous.variant not in world.endpoint.unstartable
            and not self.world.endpoint.failed[previous.config_name]
        ):
            return [f"{champion.id} fires since {since - state.promoted_at:.0f} s after its promotion and still serves"]
        return []

    def _next_release(self) -> list[str]:
        """Whether the next release comes to its end: by a trial, or by a person's leave where no trial can be had."""
        self._act("release z", lambda: self._release(NEXT, PLANS[0], 0))
        self._settle()
        state = self.world.state
        if state.verdict is not None and (state.verdict.release, state.verdict.outcome) == (NEXT, "failed"):
            self._act("skip z", lambda: self.world.controller().skip_trial(NEXT, _WORDS))
            self._act("release z", lambda: self._release(NEXT, PLANS[0], 0))
            self._settle()
        champion = self.world.state.champion
        if champion is None or champion.id != NEXT:
            verdict = self.world.state.verdict
            return [f"the next release did not get through: {verdict and verdict.reason.text}"]
        return self._differences()


def play(seed: int, tell: Callable[[str], None] = lambda _: None) -> list[str]:
    """What is wrong at the end of one seed's day; nothing when all is well."""
    day = BadDay(seed, tell)
    try:
        return day.run()
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]


def rows(seeds: int = SEEDS) -> list[Row]:
    """How many of the bad days did not end on a champion with all traffic and a true record."""
    failed = [seed for seed in range(seeds) if play(seed)]
    which = f": {', '.join(map(str, failed[:5]))}" if failed else ""
    beside = f"of {seeds:,} seeds{which}; `python -m bench.bad_days SEED` tells what happened"
    return [Row("bad_days_not_ended_well", len(failed), "seeds", "== 0", beside)]
