"""`Traffic` on Kubernetes: the rules of an HTTPRoute, which only this adapter writes.

All objects are declared before a config is requested, so a change is one write of all the rules:

- A config serves once all its variants have a ready endpoint. Until then the request is stored on the route, `read`
  returns `changing`, and the next request applies it. Sometimes it returns `ready` in between, so that a caller need
  not wait for a config that it no longer wants. A config that does not come up is a `failure`.
- A release without a trial also waits for as many ready pods as serve now, at most its Deployment's deadline.
  A rollback never does.
- No variant without a ready endpoint gets more weight. Nor does a challenger with too few ready pods, or before the
  gateway applies the sticky header (`Busy`).
- A write succeeds only on the route that was read, and is retried after a conflict.
- Foreign changes to the rules show in `read` as weights that nobody decided. So the next tick reverts them, and an
  Event on the route names their author.

A move of the champion to other pods alone proceeds in steps (`guard`), stored on the route: `read` returns `changing`,
and `modelstack.platforms.kubernetes.guarded` continues it. A failed move is a `failure` until the next config is
requested.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property

from modelstack.platforms.clock import SystemClock
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.autoscaled import before_more
from modelstack.platforms.kubernetes.coming import Coming, asked_now, coming_up, pods_to_take_over, still_waited
from modelstack.platforms.kubernetes.guarded import pods_of
from modelstack.platforms.kubernetes.journal import KubernetesJournal
from modelstack.platforms.kubernetes.kinds import PATCH_POLICY
from modelstack.platforms.kubernetes.moving import Move
from modelstack.platforms.kubernetes.route import Route, written_by
from modelstack.platforms.kubernetes.route_store import RouteStore
from modelstack.platforms.kubernetes.rules import Split, lingering, rules, weights
from modelstack.platforms.kubernetes.scaled_to_zero import bring_back
from modelstack.platforms.kubernetes.serving_config import Backend, ServingConfig
from modelstack.platforms.kubernetes.sticky import unsettled
from modelstack.platforms.kubernetes.workloads import Lacking, lacking, ready_endpoints
from modelstack.rollout.controller.ports import Clock
from modelstack.rollout.core.errors import Busy, RolloutError
from modelstack.rollout.core.live import Live, Status, Variant
from modelstack.rollout.core.plan import EVERYTHING, Guard

_LOST_SECONDS = 30.0  # without a ready endpoint, after which a challenger counts as failed


@dataclass(frozen=True)
class RouteTraffic:
    """`Traffic` over the rules of one HTTPRoute. `sticky` is the header that selects the variant; empty for none."""

    api: Api
    endpoint: str
    clock: Clock = field(default_factory=SystemClock)
    sticky: str = ""

    @cached_property
    def store(self) -> RouteStore:
        """The route."""
        return RouteStore(self.api, self.endpoint, self.clock)

    def read(self) -> Live:
        """See `Traffic`; raises NotFound without a route."""
        store = self.store
        route = store.read()
        config, split, move = store.serving(route), store.split(route), route.move
        asked = route.asked if route.asked is not None and route.asked.config != route.config else None
        wanted = store.known(asked.config) if asked is not None else None
        backends = {item.workload: item for one in (config, wanted) if one is not None for item in one.backends}
        ready = ready_endpoints(self.api, [*backends, *([split.backend.workload] if split else ())])
        coming = Coming()
        if asked is not None:
            state = KubernetesJournal(self.api, self.endpoint).find()
            asked = still_waited(state, asked, serve=ready[config.champion.workload] if config else 0)
            if asked.counts_in(state):
                coming = coming_up(self.api, asked, wanted, ready, self.clock.time())
        status, detail = self._standing(route, config, ready)
        if coming.pending and status == "ready":
            status, detail = ("ready" if coming.asked_enough else "changing"), coming.pending
        if move is not None and move.under_way:
            status, detail = "changing", move.words
        failure = coming.failure or (move.failure if move is not None else "")
        modified = max(asked.at if asked is not None else 0.0, move.since if move is not None else 0.0)
        if config is None:
            return Live(status, route.config, detail=detail, failure=failure, modified=modified)
        variants = _variants(route, config, ready, split)
        return Live(status, route.config, variants, detail, _shadows(config, ready), failure, modified)

    def set_weights(self, weights: Mapping[str, int]) -> None:
        """Write the rules of the current config with these weights, by default 0.

        Raises:
            Busy: A variant has too few ready pods for more traffic, the gateway does not apply the sticky header yet,
                the champion is moving, or others keep writing the route.
            RolloutError: The weights are not of this config, or their sum is not 100.
        """

        def change(route: Route) -> None:
            config = self.store.serving(route)
            if config is None:
                raise RolloutError(f"weights {dict(weights)} of HTTPRoute {self.endpoint}: it serves no config yet")
            _refuse_foreign(config, weights)
            _refuse_moving(route, f"weights {dict(weights)}")
            self._refuse_unready(route, config, weights)
            older = lingering(route.rules, config)
            if route.rules != rules(config, weights, older):
                wanted = rules(config, weights, self.store.there(older))
                self.store.write(route, route.config, wanted, asked=route.asked)

        self.store.repeated(f"set weights {dict(weights)}", change)

    def use_config(self, name: str, guard: Guard | None = None) -> None:
        """Write the rules of a config, with all traffic on its champion. One that is not ready is stored as requested.

        A guard moves the champion's traffic to its other pods in steps; without one it moves at once.

        Raises:
            Busy: The champion is moving elsewhere, failed pods of an earlier attempt are terminating, another
                controller has just requested a config, or others keep writing the route.
        """

        def change(route: Route) -> None:
            if route.move is not None and route.move.under_way and route.move.config == name:
                return
            _refuse_moving(route, f"config {name}")
            config = self.store.known(name)
            ready = ready_endpoints(self.api, [item.workload for item in config.backends]) if config else {}
            pods = pods_to_take_over(self.store, route, config) if config else 0
            if config is not None:
                bring_back(self.api, self.endpoint, config, ready, self.clock.time())
            if config is None or not all(ready.values()) or ready[config.champion.workload] < pods:
                noted = replace(asked_now(self.store, route, (name, config), ready), pods=pods)
                self.store.write(route, route.config, route.rules or None, asked=noted)
                return
            if guard is not None and (serving := self._left(route, config)) is not None:
                self._begin(route, serving, config, guard)
            else:
                older = self.store.there(self._before(route, config))
                self.store.write(route, name, rules(config, {config.champion.variant: EVERYTHING}, older))

        self.store.repeated(f"use config {name}", change)

    def _left(self, route: Route, config: ServingConfig) -> ServingConfig | None:
        """The current config, if its champion only moves to other pods and has ready ones; else None."""
        serving = self.store.serving(route)
        if serving is None or (serving.challenger, config.challenger) != (None, None):
            return None
        old, new = serving.champion, config.champion
        if old.variant != new.variant or old.workload == new.workload:
            return None
        return serving if ready_endpoints(self.api, [old.workload])[old.workload] else None

    def _begin(self, route: Route, serving: ServingConfig, config: ServingConfig, guard: Guard) -> None:
        """Add the new pods to the rules, without traffic, and store the move."""
        move = Move.begun(config.name, guard, pods_of(self.store, config.champion.workload), self.clock.time())
        older = self.store.there(lingering(route.rules, serving))
        wanted = rules(serving, {}, older, Split(config.champion, move.share))
        self.store.write(route, route.config, wanted, move=move)

    def _before(self, route: Route, config: ServingConfig) -> list[Backend]:
        """The current backends and the previous champion keep their rules.

        A gateway needs a moment to learn of pods in new rules, and loses requests until then.
        """
        before, older = self.store.serving(route), lingering(route.rules, config)
        if before is None or route.config == config.name:
            return older
        left = [item for item in before.backends if item.workload not in {one.workload for one in config.backends}]
        return left + [item for item in older if item not in left and item.workload == self._previous()]

    def _previous(self) -> str:
        """The workload of the previous champion; empty if there is none or it is unknown."""
        with suppress(RolloutError):
            previous = KubernetesJournal(self.api, self.endpoint).read().previous
            return previous.config_name if previous is not None else ""
        return ""

    def _refuse_unready(self, route: Route, config: ServingConfig, wanted: Mapping[str, int]) -> None:
        has = _by_variant(config, weights(route.rules))
        gains = [item for item in config.backends if wanted.get(item.variant, 0) > has.get(item.variant, 0)]
        ready = ready_endpoints(self.api, [item.workload for item in gains])
        without = [lacking(self.api, item).words for item in gains if not ready[item.workload]]
        if without:
            told = "; ".join(without)
            raise Busy(f"weights {dict(wanted)} of {self.endpoint}: no ready endpoint to give more to: {told}")
        if config.challenger is None or config.challenger not in gains:
            return
        weight = wanted[config.challenger.variant]
        there = ready_endpoints(self.api, [item.workload for item in config.backends])
        lacks = before_more(self.api, config, weights(route.rules), weight, there)
        if lacks:
            raise Busy(f"weights {dict(wanted)} of {self.endpoint}: {lacks}")
        self._refuse_too_few(config.challenger, there[config.challenger.workload], weight)
        self._refuse_unsettled(wanted)

    def _refuse_too_few(self, challenger: Backend, ready: int, weight: int) -> None:
        """A challenger's share of traffic is at most its share of ready pods; a champion always gets its own back."""
        pods = pods_of(self.store, challenger.workload)
        least = math.ceil(pods * weight / EVERYTHING)
        if ready < least:
            raise Busy(
                f"{weight}% for {challenger.variant} of {self.endpoint}: {ready} of its {pods} pods are ready, and "
                f"that much wants {least}"
            )

    def _refuse_unsettled(self, wanted: Mapping[str, int]) -> None:
        """Keys stay with their variant only once the gateway applies the header."""
        waits = unsettled(self.api.find(PATCH_POLICY, self.endpoint), self.sticky) if self.sticky else ""
        if waits:
            who = f"header {self.sticky} does not decide which version answers"
            raise Busy(f"weights {dict(wanted)} of {self.endpoint}: {who}: {waits}")

    def _standing(self, route: Route, config: ServingConfig | None, ready: Mapping[str, int]) -> tuple[Status, str]:
        """The status of the current config, and its description.

        A champion without an endpoint blocks nothing: moving away helps. A challenger without one fails if it stays so,
        unless the champion is down too.
        """
        waits = route.not_yet
        if waits:
            return "changing", waits
        detail = f"rules were written by {', '.join(others)}" if (others := written_by(route.content)) else "serving"
        without = [item for item in config.backends if not ready[item.workload]] if config else []
        if config is None or not without:
            return "ready", detail
        found = {item.workload: lacking(self.api, item, served=True) for item in without}
        told = "; ".join(item.words for item in found.values())
        challenger = config.challenger
        if challenger is None or challenger.workload not in found:
            return "ready", told
        lost = found[challenger.workload]
        if config.champion.workload not in found and self._gone(lost):
            return "failed", lost.words
        return ("changing" if weights(route.rules).get(challenger.workload, 0) > 0 else "ready"), told

    def _gone(self, lost: Lacking) -> bool:
        return lost.final or (lost.since is not None and self.clock.time() - lost.since > _LOST_SECONDS)


def _by_variant(config: ServingConfig, by_workload: Mapping[str, int], split: Split | None = None) -> dict[str, int]:
    found = Counter({item.variant: by_workload.get(item.workload, 0) for item in config.backends})
    if split is not None:
        found[split.backend.variant] += by_workload.get(split.backend.workload, 0)
    return dict(found)


def _variants(route: Route, config: ServingConfig, ready: Mapping[str, int], split: Split | None) -> dict[str, Variant]:
    """The serving variants. Foreign rules count as weights of no plan, so the next tick writes its own."""
    has = _by_variant(config, weights(route.rules), split)
    ours = route.rules == rules(config, has, lingering(route.rules, config), split)
    answering = config.backends if config.copied is None else (config.champion,)
    going: Mapping[str, float] = has if ours else {item.variant: _FOREIGN[at] for at, item in enumerate(answering)}
    if not ours and len(answering) == 1:
        going = {}
    beside = {split.backend.variant: ready[split.backend.workload]} if split else {}
    return {
        item.variant: Variant(
            has[item.variant], going.get(item.variant, 0), ready[item.workload] + beside.get(item.variant, 0)
        )
        for item in answering
    }


_FOREIGN = (0.5, 99.5)  # no plan has these weights


def _shadows(config: ServingConfig, ready: Mapping[str, int]) -> dict[str, Variant]:
    if config.copied is None or config.challenger is None:
        return {}
    return {config.challenger.variant: Variant(config.copied, config.copied, ready[config.challenger.workload])}


def _refuse_moving(route: Route, what: str) -> None:
    if route.move is not None and route.move.under_way:
        raise Busy(f"{what} of HTTPRoute {route.content['metadata']['name']}: {route.move.words}")


def _refuse_foreign(config: ServingConfig, wanted: Mapping[str, int]) -> None:
    answering = config.backends if config.copied is None else (config.champion,)
    own = {item.variant for item in answering}
    unknown = sorted(name for name, weight in wanted.items() if weight and name not in own)
    total = sum(weight for name, weight in wanted.items() if name in own)
    if unknown or total != EVERYTHING or min(wanted.values()) < 0:
        raise RolloutError(
            f"weights {dict(wanted)}: config {config.name} takes weights of {', '.join(sorted(own))} with the sum 100"
        )
