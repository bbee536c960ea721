"""`Mover` for a guarded move of the champion to other pods, one step at a time.

Any number may run at once, and any may be killed. Each step reads the route, then the journal, then pods and alarms,
and its one write succeeds only on that route. The journal is written before a move begins. So a journal read after the
route knows every move of the route, and a move that it does not want is cancelled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelstack.platforms.kubernetes.kinds import DEPLOYMENT
from modelstack.platforms.kubernetes.moving import Move, MoveStatus, decided
from modelstack.platforms.kubernetes.route import Route
from modelstack.platforms.kubernetes.route_store import RouteStore
from modelstack.platforms.kubernetes.rules import Split, lingering, rules
from modelstack.platforms.kubernetes.serving_config import Backend, ServingConfig
from modelstack.platforms.kubernetes.workloads import lacking, ready_endpoints
from modelstack.rollout.controller.ports import Alarms, Journal
from modelstack.rollout.core.errors import Busy, Conflict, RolloutError, Unreachable
from modelstack.rollout.core.plan import EVERYTHING
from modelstack.rollout.core.state import Phase, RolloutState


@dataclass(frozen=True)
class GuardedMoves:
    """`Mover` over one HTTPRoute."""

    store: RouteStore
    journal: Journal
    alarms: Alarms

    def advance(self) -> bool:
        """Do the next step of the move; whether anything changed. Transient errors are left to the next call."""
        try:
            return self._advance(self.store.read())
        except (Busy, Conflict, Unreachable):
            return False

    def _advance(self, route: Route) -> bool:
        move, config = route.move, self.store.serving(route)
        if move is None or not move.under_way or config is None:
            return False
        state = self.journal.read()
        to = self.store.known(move.config)
        if to is None:
            gone = f"config {move.config} is not there: no ConfigMap of that name in {self.store.api.namespace}"
            return self._back(route, config, replace(move, failure=gone))
        after = decided(move, self._seen(route, config.champion, to.champion, state), self.store.clock.time())
        if after == "arrived":
            everything = {to.champion.variant: EVERYTHING}
            return self.store.write(route, to.name, rules(to, everything, self.store.there([config.champion])))
        if after == "called off":
            return self._back(route, config, None)
        if after.failure:
            return self._back(route, config, after)
        wanted = rules(config, {}, self._older(route, config), Split(to.champion, after.share))
        return self.store.write(route, route.config, wanted, move=after)

    def _back(self, route: Route, config: ServingConfig, move: Move | None) -> bool:
        everything = {config.champion.variant: EVERYTHING}
        return self.store.write(route, route.config, rules(config, everything, self._older(route, config)), move=move)

    def _older(self, route: Route, config: ServingConfig) -> list[Backend]:
        return self.store.there(lingering(route.rules, config))

    def _seen(self, route: Route, old: Backend, new: Backend, state: RolloutState) -> MoveStatus:
        api, move, challenger = self.store.api, route.move, state.challenger
        wanted = state.phase is Phase.MOVING and challenger is not None and move is not None
        ready = ready_endpoints(api, [old.workload, new.workload])
        return MoveStatus(
            wanted=wanted and challenger.config_name == move.config,
            old=ready[old.workload],
            new=ready[new.workload],
            of=pods_of(self.store, new.workload),
            lacking="" if ready[new.workload] else lacking(api, new).words,
            gateway=route.not_yet,
            firing=self._firing(state, move) if wanted and move is not None and move.alarms else (),
        )

    def _firing(self, state: RolloutState, move: Move) -> tuple[str, ...] | None:
        try:
            firing = self.alarms.firing(state)
        except RolloutError:
            return None
        return tuple(sorted({alarm.reason.name for alarm in firing if alarm.reason.name in move.alarms}))


def pods_of(store: RouteStore, workload: str) -> int:
    """The desired number of pods of a workload; 1 if its Deployment is gone or has none."""
    deployment = store.api.find(DEPLOYMENT, workload)
    return int(deployment["spec"].get("replicas", 1)) if deployment is not None else 1
