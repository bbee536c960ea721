"""A simulated endpoint over the ports of Kubernetes: its journal, verdicts and traffic are objects of an API server."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from modelstack.platforms.kubernetes.journal import copied_journal
from modelstack.platforms.kubernetes.kinds import ResourceKind
from modelstack.platforms.kubernetes.rules import weights
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.platforms.kubernetes.versions import ModelPackages
from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from tests.platforms.kubernetes.world import ENDPOINT, World, pair, solo
from tests.rollout.worlds import PLAN
from tests.rollout.worlds import release as plain
from tests.simulator.platform import World as Simulated

A, B = solo("solo-a", "v-a"), solo("solo-b", "v-b")
PAIR = replace(pair(A, B), name="pair-ab")
CONFIGS = (A, B, PAIR)


@dataclass
class Cluster(Simulated):
    """A simulated endpoint whose traffic goes by the rules of a route, as soon as the gateway has seen them."""

    around: World = None  # type: ignore[assignment]
    seen: str = ""

    def pass_time(self, now: float, seconds: float) -> None:
        route = self.around.route
        mark = f"{route['metadata']['generation']}"
        if mark != self.seen:
            self.around.gateway_follows()
            self.seen = mark
        live = route["spec"].get("rules") or [{}]
        self._weights = {f"v-{name[-1]}": float(weight) for name, weight in weights(live).items()}
        self.serving = "solo-a"
        self._pending = None
        super().pass_time(now, seconds)

    def over(self) -> Controller:
        """A controller of its own over the ports of Kubernetes."""
        api = self.around.api
        return self.controller(
            traffic=RouteTraffic(api, ENDPOINT, self.clock),
            journal=copied_journal(api, ENDPOINT),
            registry=ModelPackages(api, clock=self.clock),
        )

    def release(self, name: str) -> Release:
        """A release by its short name."""
        return replace(plain(name), version=f"{self.around.api.namespace}/{name}")

    def begin(self) -> Controller:
        """Put b on trial beside a."""
        rollout = self.over()
        rollout.release(self.release("b"), PAIR.name, PLAN, beside=A.name)
        return rollout

    @property
    def journal(self) -> RolloutState:
        """The journal now."""
        return copied_journal(self.around.api, ENDPOINT).read()


def cluster_in(world: World) -> Cluster:
    """A cluster where a is champion, and b is declared."""
    rates = {"v-a": 0.01, "v-b": 0.01}
    made = Cluster({"solo-a": {"v-a": 1.0}}, "solo-a", error_rates=rates, requests_per_second=60, around=world)
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
