"""A simulated platform: the ports in memory, on a clock that is turned by hand. For tests, and for trying a plan out.

    world = World(configs={"solo-a": {"v-a": 1}, "pair": {"v-a": 1, "v-b": 0}}, serving="solo-a")
    world.error_rates["v-b"] = 0.5
    world.controller().follow(seconds=600)

It behaves as SageMaker does where that matters to a rollout: weights are relative, a config brings its own weights,
every change takes a while, and while it lasts other changes are refused.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from rollout.controller import Controller
from rollout.decision import Seen
from rollout.judge import Counts, Window
from rollout.ports import Approval, Busy, Conflict, Live, RolloutError, Unreachable, Variant
from rollout.state import Event, RolloutState


class ManualClock:
    """A clock that moves only when it is told to, second by second."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self._now = now
        self.watchers: list[World] = []

    def time(self) -> float:
        """Epoch seconds."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let time pass for everything that watches this clock."""
        left = seconds
        while left > 0:
            part = min(1.0, left)
            self._now += part
            left -= part
            for world in self.watchers:
                world.pass_time(self._now, part)


@dataclass
class World:
    """One endpoint with its traffic, metrics, journal, registry and notifications.

    Attributes:
        configs: Endpoint config name -> relative weight per variant.
        serving: The config that serves.
        error_rates: Variant -> the share of its requests that fail.
        requests_per_second: What the endpoint is asked.
        change_seconds: How long a change of config or weights takes.
        broken: Configs that never come up, nobody can tell why: the endpoint falls back to what served.
        unstartable: Variants of which no new instance comes up, and with them no config that has one.
        metrics_problem: Why metrics are unreachable; empty when they are not.
        unsendable: Whether notifications cannot be sent.
        unwritable: Whether the journal takes no writes.
        seed: Of the random source behind requests and errors.
    """

    configs: dict[str, dict[str, float]]
    serving: str
    error_rates: dict[str, float] = field(default_factory=dict[str, float])
    requests_per_second: float = 20.0
    change_seconds: float = 3.0
    broken: set[str] = field(default_factory=set[str])
    unstartable: set[str] = field(default_factory=set[str])
    metrics_problem: str = ""
    unsendable: bool = False
    unwritable: bool = False
    seed: int = 1
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - a simulation, not a secret
        self._weights = dict(self.configs[self.serving])
        self._pending: tuple[float, str, dict[str, float]] | None = None
        self._detail = ""
        self._owed = 0.0
        self._counts: dict[tuple[int, str], list[int]] = {}
        self.state = RolloutState("endpoint")
        self.approvals: dict[str, Approval] = {}
        self.sent: list[Event] = []
        self.served: dict[str, int] = {}
        self.clock.watchers.append(self)

    def controller(self) -> Controller:
        """A controller of its own over this world; any number may be used."""
        return Controller(
            traffic=MemoryTraffic(self),
            signals=MemorySignals(self),
            journal=MemoryJournal(self),
            registry=MemoryRegistry(self),
            clock=self.clock,
            notify=MemoryNotify(self),
        )

    def live(self) -> Live:
        """What the endpoint says of itself."""
        going = self._pending[2] if self._pending and self._pending[1] == self.serving else self._weights
        variants = {name: Variant(weight, going.get(name, weight), 1) for name, weight in self._weights.items()}
        return Live("changing" if self._pending else "ready", self.serving, variants, self._detail)

    def change(self, config: str, weights: Mapping[str, float]) -> None:
        """Begin a change of config or weights.

        Raises:
            Busy: Another change is under way.
        """
        if self._pending:
            raise Busy("cannot update an endpoint that is Updating")
        self._pending = (self.clock.time() + self.change_seconds, config, dict(weights))

    def pass_time(self, now: float, seconds: float) -> None:
        """Let requests arrive, and changes end."""
        self._owed += self.requests_per_second * seconds
        total = sum(self._weights.values())
        names = list(self._weights)
        while self._owed >= 1:
            self._owed -= 1
            weights = list(self._weights.values()) if total else None
            variant = self._random.choices(names, weights)[0]
            self.served[variant] = self.served.get(variant, 0) + 1
            counts = self._counts.setdefault((int(now - seconds / 2), variant), [0, 0])
            counts[0] += 1
            counts[1] += self._random.random() < self.error_rates.get(variant, 0.0)
        if self._pending and now >= self._pending[0]:
            _, config, weights = self._pending
            self._pending = None
            failed = sorted(weights.keys() & self.unstartable) if config != self.serving else []
            if failed:
                self._detail = f"the container for production variant {failed[0]} did not pass the ping health check"
            elif config in self.broken:
                self._detail = f"{config} did not come up: no capacity"
            else:
                self.serving, self._weights, self._detail = config, weights, ""

    def counts(self, variant: str, start: float, end: float) -> Counts:
        """What a variant did between two times, epoch seconds."""
        found = [self._counts.get((second, variant), (0, 0)) for second in range(int(start), int(end))]
        return Counts(sum(item[0] for item in found), sum(item[1] for item in found))


@dataclass
class MemoryTraffic:
    """`Traffic` over a world."""

    world: World

    def read(self) -> Live:
        """What is live now."""
        return self.world.live()

    def set_weights(self, weights: Mapping[str, int]) -> None:
        """Begin a change of weights."""
        live = self.world.live()
        unknown = weights.keys() - live.variants.keys()
        if unknown:
            raise RolloutError(f"the endpoint has no variant {', '.join(sorted(unknown))}")
        now = {name: variant.weight for name, variant in live.variants.items()}
        self.world.change(live.config, {**now, **weights})

    def use_config(self, name: str) -> None:
        """Begin a change of config."""
        if name not in self.world.configs:
            raise RolloutError(f"there is no endpoint config {name}")
        self.world.change(name, self.world.configs[name])


@dataclass
class MemorySignals:
    """`Signals` over a world."""

    world: World

    def read(self, champion: str, challenger: str, start: float, end: float, window_seconds: int) -> Seen:
        """The closed windows that begin after `start`."""
        if self.world.metrics_problem:
            return Seen.unknown(self.world.metrics_problem)
        first = int(-(-start // window_seconds) * window_seconds)
        windows = [
            Window(
                begin,
                window_seconds,
                self.world.counts(champion, begin, begin + window_seconds),
                self.world.counts(challenger, begin, begin + window_seconds),
            )
            for begin in range(first, int(end) - window_seconds + 1, window_seconds)
        ]
        return Seen(tuple(windows))


@dataclass
class MemoryJournal:
    """`Journal` over a world; every write passes through JSON as it would elsewhere."""

    world: World

    def read(self) -> RolloutState:
        """The state."""
        return RolloutState.from_json(self.world.state.to_json())

    def write(self, state: RolloutState) -> RolloutState:
        """Store the successor of the revision that was read."""
        if self.world.unwritable:
            raise Unreachable("the journal does not answer")
        if state.revision != self.world.state.revision:
            raise Conflict(f"the journal is at revision {self.world.state.revision}, not at {state.revision}")
        self.world.state = RolloutState.from_json(state.written().to_json())
        return self.world.state


@dataclass
class MemoryRegistry:
    """`Registry` over a world."""

    world: World

    def approval(self, package: str) -> Approval:
        """The status of a package."""
        return self.world.approvals.get(package, "PendingManualApproval")

    def set_approval(self, package: str, approval: Approval, why: str) -> None:
        """Set the status of a package."""
        if not why:
            raise Unreachable("an approval needs its reason")
        self.world.approvals[package] = approval


@dataclass
class MemoryNotify:
    """`Notify` over a world."""

    world: World

    def send(self, event: Event) -> None:
        """Keep the event."""
        if self.world.unsendable:
            raise Unreachable("the topic does not answer")
        self.world.sent.append(event)
