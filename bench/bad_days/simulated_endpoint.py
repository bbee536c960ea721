"""One SageMaker endpoint and its alarms in simulated time, made from what SageMaker documents.

    timeline = Timeline()
    endpoint = Endpoint(timeline, random.Random(1), configs, serving="solo-a")
    endpoint.update("pair-ab")        # `changing` for minutes; then it serves, or goes back and says why

UpdateEndpoint and UpdateEndpointWeightsAndCapacities return at once and refuse while the endpoint is Updating. An
update starts new instances of all variants of the config. If one does not start, the endpoint stays InService on the
old config, with the weights that it had, and FailureReason says why. Weights are relative, and a config brings its own.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

from modelstack.rollout.core.errors import Busy, RolloutError
from modelstack.rollout.core.live import Live, Variant

BAD = 0.3  # from this share of failures on, a variant's alarm fires
_PING = (
    "The primary container for production variant {} did not pass the ping health check. Please check CloudWatch logs "
    "for this endpoint."
)
_TURNED_BACK = "Deployment was rolled back, as one or more of its alarms went into ALARM state."
_CAPACITY = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry using a "
    "different ML instance type or after some time."
)


class Timeline:
    """Time, and what happens at which moment. Whatever happens may let time pass itself."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self._now, self._due, self._order = now, list[tuple[float, int, Callable[[], object]]](), count()

    def time(self) -> float:
        """Epoch seconds."""
        return self._now

    def after(self, seconds: float, do: Callable[[], object]) -> None:
        """Do something so many seconds from now."""
        heapq.heappush(self._due, (self._now + seconds, next(self._order), do))

    def sleep(self, seconds: float) -> None:
        """Let time pass, and all happen that is due by then."""
        until = self._now + seconds
        while self._due and self._due[0][0] <= until:
            at, _, do = heapq.heappop(self._due)
            self._now = max(self._now, at)
            do()
        self._now = max(self._now, until)


@dataclass(frozen=True)
class Config:
    """An endpoint config: the initial weight of each production variant, and the shadow with its percent, if any."""

    weights: Mapping[str, float]
    shadow: tuple[str, int] | None = None

    @property
    def variants(self) -> set[str]:
        """All variants that need an instance."""
        return {*self.weights, *([self.shadow[0]] if self.shadow else [])}


@dataclass
class Endpoint:
    """One endpoint.

    Attributes:
        timeline: Time.
        random: Decides how long changes take.
        configs: By name.
        serving: The config that serves.
        rates: Variant -> the share of its requests that fail.
        unstartable: Variants of which no new instance comes up, though those that serve go on.
        deleted: Configs that are not there any more.
        no_capacity: Whether no new instance comes up at all, and nobody is named, or not even a reason.
        fires: Called with a variant when its alarm goes to ALARM.
        weights: Variant -> the weight that routes now.
        going: Variant -> the weight that was asked for.
        failure: FailureReason.
        failed: Config -> how often it did not come up since it last did.
        firing: Variant -> since when its alarm is in ALARM.
    """

    timeline: Timeline
    random: random.Random
    configs: Mapping[str, Config]
    serving: str
    rates: dict[str, float] = field(default_factory=dict[str, float])
    unstartable: set[str] = field(default_factory=set[str])
    deleted: set[str] = field(default_factory=set[str])
    no_capacity: bool = False
    fires: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        self.weights = dict(self.configs[self.serving].weights)
        self.going = dict(self.weights)
        self.pending: str | None = None
        self.modified = 0.0
        self.failure = ""
        self.failed = Counter[str]()
        self.firing: dict[str, float] = {}
        self.history: list[tuple[float, str, dict[str, float]]] = [(0.0, self.serving, self.shares())]
        self.rate_history: list[tuple[float, dict[str, float]]] = [(0.0, dict(self.rates))]
        self._names_the_new_one = self.random.random() < 0.5

    def shares(self) -> dict[str, float]:
        """The share of live requests of each variant, 0 to 1."""
        total = sum(self.weights.values())
        return {name: weight / total if total else 0.0 for name, weight in self.weights.items()}

    def describe(self) -> Live:
        """DescribeEndpoint: while Updating it may name either config; its variants are those that serve."""
        config = self.configs[self.serving]
        name = self.pending if self.pending is not None and self._names_the_new_one else self.serving
        variants = {one: Variant(weight, self.going.get(one, weight), 1) for one, weight in self.weights.items()}
        shadows = {config.shadow[0]: Variant(config.shadow[1], config.shadow[1], 1)} if config.shadow else {}
        status = "changing" if self.pending is not None else "ready"
        detail = "Updating" if self.pending is not None else "InService"
        said = f"{detail}: {self.failure}" if self.failure else detail
        return Live(status, name, variants, said, shadows, self.failure, self.modified)

    def update(self, config: str, *, guarded: bool = False) -> None:
        """UpdateEndpoint; a guarded one takes the same variants on both sides, and goes back when an alarm fires."""
        self._refuse_while_updating()
        if config not in self.configs or config in self.deleted:
            raise RolloutError(f"Could not find endpoint configuration {config}")
        if guarded and self.configs[config].variants != self.configs[self.serving].variants:
            raise RolloutError("A guarded deployment needs the same variants before and after")
        self.pending, self.failure, self.modified = config, "", self.timeline.time()
        self.timeline.after(self.random.choice([60, 240, 600]), lambda: self._arrive(config, guarded))

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """UpdateEndpointWeightsAndCapacities."""
        self._refuse_while_updating()
        unknown = sorted(weights.keys() - self.weights.keys())
        if unknown:
            raise RolloutError(f"Could not find variants {', '.join(unknown)}")
        self.going = {**self.weights, **weights}
        self.pending, self.failure, self.modified = self.serving, "", self.timeline.time()
        self.timeline.after(self.random.choice([5, 30, 90]), self._weighed)

    def become(self, variant: str, rate: float) -> None:
        """From now on a variant fails so many of its requests."""
        self.rates[variant] = rate
        self.rate_history.append((self.timeline.time(), dict(self.rates)))
        self._watch()

    def breaches(self, variant: str) -> bool:
        """Whether a variant has requests, and fails too many of them."""
        shadow = self.configs[self.serving].shadow
        asked = self.shares().get(variant, 0.0) > 0 or (shadow is not None and shadow[0] == variant)
        return asked and self.rates.get(variant, 0.0) >= BAD

    def _refuse_while_updating(self) -> None:
        if self.pending is not None:
            raise Busy("Cannot update in-progress endpoint")

    def _arrive(self, config: str, guarded: bool) -> None:
        down = sorted(self.configs[config].variants & self.unstartable)
        if down or self.no_capacity:
            why = _PING.format(down[0]) if down else self.random.choice([_CAPACITY, ""])
            self.timeline.after(self.random.choice([300, 1200]), lambda: self._go_back(config, why))
            return
        if guarded and self.configs[config].variants & self.firing.keys():
            self._go_back(config, _TURNED_BACK)
            return
        self.pending, self.serving = None, config
        self.failed[config] = 0
        self.weights = dict(self.configs[config].weights)
        self.going = dict(self.weights)
        self._changed()

    def _go_back(self, config: str, why: str) -> None:
        """The old fleet goes on, with the weights that it has."""
        self.pending, self.failure, self.modified = None, why, self.timeline.time()
        self.failed[config] += 1

    def _weighed(self) -> None:
        self.pending, self.weights = None, dict(self.going)
        self._changed()

    def _changed(self) -> None:
        self.modified = self.timeline.time()
        self.history.append((self.timeline.time(), self.serving, self.shares()))
        self._watch()

    def _watch(self) -> None:
        """CloudWatch looks once a minute; an alarm whose variant has no data any more is OK soon after."""
        for variant in sorted({*self.rates, *self.firing}):  # in an order that a seed alone decides
            if self.breaches(variant) != (variant in self.firing):
                self.timeline.after(self.random.choice([20, 60, 120]), lambda name=variant: self._look(name))

    def _look(self, variant: str) -> None:
        if self.breaches(variant) and variant not in self.firing:
            self.firing[variant] = self.timeline.time()
            self.fires(variant)
        elif not self.breaches(variant):
            self.firing.pop(variant, None)
