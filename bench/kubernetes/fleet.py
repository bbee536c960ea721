"""A hundred models at rest, and some on trial: what the controller takes, and how often it asks the API server."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from bench.kubernetes import models
from bench.kubernetes.arithmetic import bent, calls_a_minute, line
from bench.kubernetes.fake_nodes import VERSION, fake_nodes
from bench.kubernetes.models import Model
from bench.kubernetes.place import Place, at_once, until
from bench.kubernetes.served import Served
from bench.rows import Row, sized
from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.kinds import POD, ROLLOUT, ROUTE
from modelstack.platforms.kubernetes.names import CONTROLLER, CONTROLLER_PORT
from modelstack.platforms.kubernetes.program.counts import CALLS, TICKS
from modelstack.platforms.kubernetes.program.working import REST
from modelstack.rollout.core.plan import Plan, Step

_SIZES, _TRIALS, _NODES = (25, 50, 100), 10, 50
_WATCH_S = 120  # of a controller that is left alone
_CALM_S = 6.0  # without a look, after which it is
_PLAN = Plan(steps=(Step(10, 3600), Step(50, 3600)), window_seconds=10, max_seconds=9000)


@dataclass(frozen=True)
class _Reading:
    """What both replicas tell of themselves, at one time.

    Attributes:
        at: Monotonic seconds.
        calls: Requests to the API server so far, of all replicas.
        looks: Looks at endpoints so far.
        cpu: CPU seconds so far, a replica.
        memory: Megabytes, a replica.
    """

    at: float
    calls: float
    looks: float
    cpu: dict[str, float]
    memory: dict[str, float]


def rows(served: Served) -> list[Row]:
    """Fill the namespace of a stack, whose controller serves them all."""
    place = served.place
    sizes = [sized(size, least) for size, least in zip(_SIZES, (2, 3, 4), strict=True)]
    trials = range(sizes[-1], sizes[-1] + sized(_TRIALS, 1))
    with fake_nodes(place, sized(_NODES)), models.declared(place) as add:
        resting = [_resting(place, add, size) for size in sizes]
        add(trials)
        at_once(lambda number: Model(place, number).try_another(_PLAN), trials)
        until(lambda: all(Model(place, number).is_tried for number in trials), "the trials have their first share")
        tried = _left_alone(place)
    return [*_costs(resting[-1]), *_calls(resting, tried, len(trials))]


def _resting(place: Place, add: Callable[[range], None], size: int) -> _Resting:
    """Add models until there are so many, and watch them when nothing moves."""
    there = sum(found["metadata"]["name"].startswith("fleet-") for found in place.api.list(ROLLOUT))
    add(range(there, size))
    _calm(place)
    each = _of_a_look(place, range(size))
    return _Resting(size, each, _left_alone(place))


@dataclass(frozen=True)
class _Watched:
    """Two readings of a controller that was left alone in between."""

    before: _Reading
    after: _Reading

    @property
    def minutes(self) -> float:
        return (self.after.at - self.before.at) / 60

    @property
    def calls(self) -> float:
        """A minute."""
        return (self.after.calls - self.before.calls) / self.minutes

    def standing(self, each_look: float) -> float:
        """Calls a minute that no look made."""
        return max(0.0, self.calls - each_look * (self.after.looks - self.before.looks) / self.minutes)

    @property
    def cpu(self) -> list[float]:
        """Percent of a core, a replica; the busiest first."""
        spent = [100 * (self.after.cpu[pod] - self.before.cpu[pod]) / (60 * self.minutes) for pod in self.after.cpu]
        return sorted(spent, reverse=True)


@dataclass(frozen=True)
class _Resting:
    """So many models at rest.

    Attributes:
        models: How many.
        each_look: Calls of a look at one of them.
        watched: The controller, left alone.
    """

    models: int
    each_look: float
    watched: _Watched

    @property
    def calls(self) -> float:
        """A minute."""
        return calls_a_minute(self.watched.standing(self.each_look), self.each_look, self.models, REST)


def _costs(rest: _Resting) -> list[Row]:
    quiet = rest.watched
    memory = sorted(quiet.after.memory.values(), reverse=True)
    each = ", ".join(f"{one:.0f}" for one in memory)
    cpu = ", ".join(f"{one:.2f}" for one in quiet.cpu)
    over = f"over {60 * quiet.minutes:.0f} s; {rest.models} models at rest; the replicas: "
    return [
        Row("k8s_controller_mb", round(memory[0], 1), "MB", "<= 120", f"{over}{each}"),
        Row("k8s_controller_cpu_pct", round(quiet.cpu[0], 2), "% of a core", "<= 2", f"{over}{cpu}"),
    ]


def _calls(resting: list[_Resting], tried: _Watched, trials: int) -> list[Row]:
    """The rate, and whether it is a straight line in the number of models."""
    points, most = {rest.models: rest.calls for rest in resting}, resting[-1]
    slope, standing = line(points)
    told = ", ".join(f"{number}: {calls:.1f}" for number, calls in points.items())
    on_trial = tried.standing(0) - most.watched.standing(most.each_look)
    looks = tried.after.looks - tried.before.looks
    beside = (
        f"both replicas; {most.models} models at rest and {trials} on trial, looked at each 10 s; kwok {VERSION}, "
        f"{sized(_NODES)} nodes; {most.calls:.0f} at rest ({most.each_look:.1f} calls a look, each {REST:.0f} s), "
        f"{on_trial:.0f} more by {looks:.0f} looks in {60 * tried.minutes:.0f} s at the trials"
    )
    straight = f"calls a minute at rest, by models: {told}; so {standing:.1f} + {slope:.2f} a model"
    return [
        Row("k8s_api_calls_per_minute", round(most.calls + on_trial), "calls", "", beside),
        Row("k8s_api_calls_linear", round(bent(points), 3), "ratio", "<= 1.1", straight),
    ]


def _left_alone(place: Place) -> _Watched:
    before = _read(place)
    time.sleep(sized(_WATCH_S, 10))
    return _Watched(before, _read(place))


def _of_a_look(place: Place, numbers: Sequence[int]) -> float:
    """Calls of one look at a model at rest: all are looked at once, because Pulumi's part of their routes changes."""
    before = _read(place)
    for number in numbers:
        model = Model(place, number)
        place.api.apply(ROUTE, model.route(f"again-{time.time_ns()}.example"), names.PROGRAM)
    until(lambda: _read(place).looks >= before.looks + len(numbers), f"{len(numbers)} models are looked at")
    after = _calm(place)
    return (after.calls - before.calls) / (after.looks - before.looks)


def _calm(place: Place) -> _Reading:
    """Wait until no endpoint is looked at."""
    last, since = _read(place), time.monotonic()

    def is_so() -> bool:
        nonlocal last, since
        now = _read(place)
        if now.looks != last.looks:
            since = time.monotonic()
        last = now
        return time.monotonic() - since > _CALM_S

    until(is_so, "the controller has looked at all models")
    return last


def _read(place: Place) -> _Reading:
    pods = place.api.list(POD, {"app.kubernetes.io/name": CONTROLLER})
    stay = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    told = {pod["metadata"]["name"]: _metrics(pod["status"]["podIP"]) for pod in stay}

    def of(name: str) -> dict[str, float]:
        return {pod: _sum(name, text) for pod, text in told.items()}

    memory = {pod: size / 1e6 for pod, size in of("process_resident_memory_bytes").items()}
    calls, looks = (sum(of(measure.name).values()) for measure in (CALLS, TICKS))
    return _Reading(time.monotonic(), calls, looks, of("process_cpu_seconds_total"), memory)


def _metrics(address: str) -> str:
    return httpx.get(f"http://{address}:{CONTROLLER_PORT}/metrics", timeout=30).raise_for_status().text


def _sum(name: str, text: str) -> float:
    """All series of a metric together."""
    return sum(map(float, re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)))
