"""What an endpoint serves: the rules of its HTTPRoute, which this adapter alone writes (`Traffic`).

    traffic = RouteTraffic(api, "flight-delay-prod")
    traffic.use_config("flight-delay-prod-7a91…")
    traffic.set_weights({"v-3f2a": 90, "v-77c1": 10})

Everything is declared before it is asked for, so a change is one write of all the rules. What makes it safe:

- A config is taken only when all its variants have a ready endpoint. Until then it is noted on the route as asked for,
  which `read` tells as `changing`; whoever asks again after that gets it. Now and then it tells `ready` in between, so
  that who no longer wants the config need not wait for it. A config that does not come up is told by the container's
  own words as `failure`, as a platform tells of an update that it took back.
- A release that takes over without a trial waits in the same way until as many of its pods are ready as serve, but no
  longer than its Deployment may take. No way back waits for a number of pods.
- No weight is given to a variant without a ready endpoint, and to a challenger none that its ready pods are too few
  for, nor any before the gateway takes the sticky header of the endpoint, if it has one (`Busy`).
- Each write lands only on the route that was read; a lost race is repeated. What is as it should be is not written.
- The list of rules belongs to the adapter as a whole. What a person or a tool writes there shows in `read` as weights
  that nobody decided, so the next tick writes the rules again, and an Event on the route names who wrote.

A move of the champion to other pods alone goes by steps (`guard`). It is noted on the route, which `read` tells as
`changing`, and `platforms.kubernetes.guarded` carries it on. Why one was taken back is told as `failure`, until the
next config is asked for.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property

from platforms.clock import SystemClock
from platforms.kubernetes.api import Api
from platforms.kubernetes.autoscaled import before_more
from platforms.kubernetes.coming import UP, asked_now, coming_up, pods_to_take_over, still_waited
from platforms.kubernetes.guarded import pods_of
from platforms.kubernetes.journal import KubernetesJournal
from platforms.kubernetes.kinds import PATCH_POLICY
from platforms.kubernetes.moving import Move
from platforms.kubernetes.route import Route, written_by
from platforms.kubernetes.route_store import RouteStore
from platforms.kubernetes.rules import Split, lingering, rules, weights
from platforms.kubernetes.scaled_to_zero import bring_back
from platforms.kubernetes.serving_config import Backend, ServingConfig
from platforms.kubernetes.sticky import unsettled
from platforms.kubernetes.workloads import Lacking, lacking, ready_endpoints
from rollout.controller.ports import Clock
from rollout.core.errors import Busy, RolloutError
from rollout.core.live import Live, Status, Variant
from rollout.core.plan import EVERYTHING, Guard

_LOST_SECONDS = 30.0  # without a ready endpoint, after which a challenger counts as failed


@dataclass(frozen=True)
class RouteTraffic:
    """`Traffic` over the rules of one HTTPRoute.

    Attributes:
        api: The API server.
        endpoint: The route's name.
        clock: Time.
        sticky: The header whose value decides which version answers; empty when none does.
    """

    api: Api
    endpoint: str
    clock: Clock = field(default_factory=SystemClock)
    sticky: str = ""

    @cached_property
    def store(self) -> RouteStore:
        """The route."""
        return RouteStore(self.api, self.endpoint, self.clock)

    def read(self) -> Live:
        """What the route, the gateway's word on it, and the endpoints of its backends say.

        Raises:
            NotFound: There is no route.
        """
        store = self.store
        route = store.read()
        config, split, move = store.serving(route), store.split(route), route.move
        asked = route.asked if route.asked is not None and route.asked.config != route.config else None
        wanted = store.known(asked.config) if asked is not None else None
        backends = {item.workload: item for one in (config, wanted) if one is not None for item in one.backends}
        ready = ready_endpoints(self.api, [*backends, *([split.backend.workload] if split else ())])
        coming = UP
        if asked is not None:
            state = KubernetesJournal(self.api, self.endpoint).read()
            asked = still_waited(state, asked, serve=ready[config.champion.workload] if config else 0)
            if asked.counts_in(state):
                coming = coming_up(self.api, asked, wanted, ready, self.clock.time())
        status, detail = self._standing(route, config, ready)
        if coming.pending and status == "ready":
            status, detail = ("ready" if coming.asked_enough else "changing"), coming.pending
        if move is not None and move.under_way:
            status, detail = "changing", move.words
        failure = coming.failure or (move.failure if move is not None else "")
        if config is None:
            return Live(status, route.config, detail=detail, failure=failure)
        variants = _variants(route, config, ready, split)
        return Live(status, route.config, variants, detail, _shadows(config, ready), failure)

    def set_weights(self, weights: Mapping[str, int]) -> None:
        """Write all rules of the config that serves, with these weights; of a variant that is not named 0.

        Raises:
            Busy: A variant that is to get more has no ready endpoint, the challenger too few for that much, the gateway
                does not take the sticky header yet, the champion moves to other pods, or the route is being written
                all the time.
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
        """Write the rules of a config: everything to its champion. One that is not ready is noted as asked for.

        Args:
            name: The config.
            guard: By which steps the champion's traffic moves to other pods of it; None moves it at once.

        Raises:
            Busy: The champion moves to another config's pods; pods that failed before this rollout make room for new
                ones; another controller has just asked for a config that is not ready; or the route is being written
                all the time.
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
                self.store.write(route, route.config, route.rules if route.config else None, asked=noted)
                return
            if guard is not None and (serving := self._left(route, config)) is not None:
                self._begin(route, serving, config, guard)
            else:
                older = self.store.there(self._before(route, config))
                self.store.write(route, name, rules(config, {config.champion.variant: EVERYTHING}, older))

        self.store.repeated(f"use config {name}", change)

    def _left(self, route: Route, config: ServingConfig) -> ServingConfig | None:
        """What the champion leaves for other pods; None when that is no such move, or nobody answers there."""
        serving = self.store.serving(route)
        if serving is None or (serving.challenger, config.challenger) != (None, None):
            return None
        old, new = serving.champion, config.champion
        if old.variant != new.variant or old.workload == new.workload:
            return None
        return serving if ready_endpoints(self.api, [old.workload])[old.workload] else None

    def _begin(self, route: Route, serving: ServingConfig, config: ServingConfig, guard: Guard) -> None:
        """Let the gateway know the new pods, without traffic, and note the move."""
        move = Move.begun(config.name, guard, pods_of(self.store, config.champion.workload), self.clock.time())
        older = self.store.there(lingering(route.rules, serving))
        wanted = rules(serving, {}, older, Split(config.champion, move.share))
        self.store.write(route, route.config, wanted, move=move)

    def _before(self, route: Route, config: ServingConfig) -> list[Backend]:
        """What serves until now, and keeps its rules for a while; and the previous champion.

        A gateway may need a moment to learn of pods that no rule names, and loses requests in it. So whoever may be
        brought back at once keeps a rule.
        """
        before, older = self.store.serving(route), lingering(route.rules, config)
        if before is None or route.config == config.name:
            return older
        left = [item for item in before.backends if item.workload not in {one.workload for one in config.backends}]
        return left + [item for item in older if item not in left and item.workload == self._previous()]

    def _previous(self) -> str:
        """The workload of the champion before the present one; empty without one, or when nobody can say."""
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
        """A challenger gets no larger part of the traffic than of its pods is ready; a champion gets its own back."""
        pods = pods_of(self.store, challenger.workload)
        least = math.ceil(pods * weight / EVERYTHING)
        if ready < least:
            raise Busy(
                f"{weight}% for {challenger.variant} of {self.endpoint}: {ready} of its {pods} pods are ready, and "
                f"that much wants {least}"
            )

    def _refuse_unsettled(self, wanted: Mapping[str, int]) -> None:
        """Keys keep their version only once the gateway goes by the header."""
        waits = unsettled(self.api.find(PATCH_POLICY, self.endpoint), self.sticky) if self.sticky else ""
        if waits:
            who = f"header {self.sticky} does not decide which version answers"
            raise Busy(f"weights {dict(wanted)} of {self.endpoint}: {who}: {waits}")

    def _standing(self, route: Route, config: ServingConfig | None, ready: Mapping[str, int]) -> tuple[Status, str]:
        """The status of what serves, and in words.

        A champion without an endpoint does not stop anything: moving away from it is what helps. A challenger without
        one is waited for while its pods may come back, and has failed when they do not, unless the champion is down
        with it.
        """
        waits = route.not_yet
        if waits:
            return "changing", waits
        detail = f"rules were written by {', '.join(others)}" if (others := written_by(route.content)) else "serving"
        without = [item for item in config.backends if not ready[item.workload]] if config else []
        if config is None or not without:
            return "ready", detail
        found = {item.workload: lacking(self.api, item) for item in without}
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
    """The variants that answer. Rules that nobody of ours wrote count as going wholly to the challenger.

    So whatever was decided differs from them, and is written again.
    """
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
