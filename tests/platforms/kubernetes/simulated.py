"""A simulated endpoint over the ports of Kubernetes: its journal, verdicts and traffic are objects of an API server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from platforms.kubernetes.journal import copied_journal
from platforms.kubernetes.kinds import ResourceKind
from platforms.kubernetes.rules import weights
from platforms.kubernetes.traffic import RouteTraffic
from platforms.kubernetes.versions import ModelPackages
from rollout.controller.controller import Controller
from rollout.core.plan import Plan
from rollout.core.release import Release
from rollout.core.state import Phase, RolloutState
from tests.platforms.kubernetes.world import ENDPOINT, World, pair, solo
from tests.rollout.worlds import PLAN
from tests.rollout.worlds import release as plain
from tests.simulator.platform import World as Simulated

A, B = solo("solo-a", "v-a"), solo("solo-b", "v-b")
PAIR, SHADOW = replace(pair(A, B), name="pair-ab"), replace(pair(A, B, 50), name="shadow-ab")
CONFIGS = (A, B, PAIR, SHADOW)
# Thousands of calls: the adapters are held to a real server one by one, and by the rollouts without this mark.
in_memory = pytest.mark.parametrize("world", ["memory"], indirect=True)


@dataclass
class Cluster(Simulated):
    """A simulated endpoint whose traffic goes by the rules of a route, as soon as the gateway has seen them.

    `lost` counts requests to a variant without an endpoint; `meanwhile` is done each second.
    """

    around: World = None  # type: ignore[assignment]
    lost: Counter[str] = field(default_factory=Counter[str])
    meanwhile: Callable[[], None] = lambda: None
    seen: str = ""

    def pass_time(self, now: float, seconds: float) -> None:
        self.meanwhile()
        route = self.around.route
        mark = f"{route['metadata']['generation']}"
        if mark != self.seen:
            self.around.gateway_follows()
            self.seen = mark
        live = route["spec"].get("rules") or [{}]
        self._weights = {f"v-{name[-1]}": float(weight) for name, weight in weights(live).items()}
        filters = live[-1].get("filters") or []
        self.serving = "shadow-ab" if filters else "solo-a"
        self._pending = None
        super().pass_time(now, seconds)

    def _answer(self, variant: str, count: int, at: float) -> None:
        if variant in self.down:
            self.lost[variant] += count
        else:
            super()._answer(variant, count, at)

    @property
    def down(self) -> set[str]:
        """The variants without an endpoint."""
        return self._down

    _down: set[str] = field(default_factory=set[str])

    def goes_down(self, name: str, state: Mapping[str, Any], last: str = "") -> None:
        """Let a release's workload have no endpoint, and its pod be in a state."""
        self._down.add(f"v-{name}")
        self.around.endpoints(f"solo-{name}", 0)
        self.around.pod(f"solo-{name}", state, last=last)

    def over(self, around: World | None = None, *, by: str = "test") -> Controller:
        """A controller of its own over the ports of Kubernetes."""
        api = (around or self.around).api
        return self.controller(
            traffic=RouteTraffic(api, ENDPOINT, self.clock),
            journal=copied_journal(api, ENDPOINT, by),
            registry=ModelPackages(api, clock=self.clock),
        )

    def release(self, name: str) -> Release:
        """A release by its short name."""
        return replace(plain(name), version=f"{self.around.api.namespace}/{name}")

    def begin(self, plan: Plan = PLAN) -> Controller:
        """Put b on trial beside a."""
        rollout = self.over()
        shadow = SHADOW.name if plan.steps[0].shadow else None
        rollout.release(self.release("b"), PAIR.name, plan, beside=A.name, shadow_config=shadow)
        return rollout

    @property
    def journal(self) -> RolloutState:
        """The journal now."""
        return copied_journal(self.around.api, ENDPOINT).read()


def cluster_in(world: World) -> Cluster:
    """A cluster where a is champion, and b is declared."""
    rates = {"v-a": 0.01, "v-b": 0.01}
    made = Cluster({"solo-a": {"v-a": 1.0}}, "solo-a", error_rates=rates, requests_per_second=60, around=world)
    made.shadows = {"shadow-ab": ("v-b", 50)}
    for config in CONFIGS:
        world.config(config)
    for name in "ab":
        world.workload(f"solo-{name}")
        world.package(name)
    made.over().release(made.release("a"), None, PLAN)
    made.over().follow(30, poll=1)
    assert made.journal.phase is Phase.IDLE
    assert world.weights() == {"solo-a": 100}
    return made


def ends(cluster: Cluster, rollout: Controller, seconds: float = 900) -> RolloutState:
    state = rollout.follow(seconds, poll=2)
    assert state.phase is Phase.IDLE, (state.phase, rollout.status().doing)
    return state


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killing(api: Any, seen: set[str], mark: Callable[[ResourceKind, Any], str]) -> Generator[None]:
    """Kill the process after each write whose mark is new, until the block ends; an empty mark kills nothing."""

    def deadly(call: Callable[..., Any]) -> Callable[..., Any]:
        def after(kind: ResourceKind, obj: Any, *words: Any, **named: Any) -> Any:
            done, new = call(kind, obj, *words, **named), mark(kind, obj)
            if new and new not in seen:
                seen.add(new)
                raise Killed
            return done

        return after

    apply, put = api.apply, api.replace_status
    api.apply, api.replace_status = deadly(apply), deadly(put)
    with suppress(Killed):
        yield
    api.apply, api.replace_status = apply, put
