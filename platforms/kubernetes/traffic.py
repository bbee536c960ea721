"""What an endpoint serves: the rules of its HTTPRoute, which this adapter alone writes (`Traffic`).

    traffic = RouteTraffic(api, "flight-delay-prod")
    traffic.use_config("flight-delay-prod-7a91…")
    traffic.set_weights({"v-3f2a": 90, "v-77c1": 10})

Everything is declared before it is asked for, so a change is one write of all the rules. What makes it safe:

- A config is taken only when all its variants have a ready endpoint. Until then it is noted on the route as asked for,
  which `read` tells as `changing`; whoever asks again after that gets it. Now and then it tells `ready` in between, so
  that who no longer wants the config need not wait for it. A config that does not come up is told by the container's
  own words as `failure`, as a platform tells of an update that it took back.
- No weight is given to a variant without a ready endpoint (`Busy`).
- Each write lands only on the route that was read; a lost race is repeated. What is as it should be is not written.
- The list of rules belongs to the adapter as a whole. What a person or a tool writes there shows in `read` as weights
  that nobody decided, so the next tick writes the rules again, and an Event on the route names who wrote.

A move of the instances alone (`guard`) is made at once when the new workload is ready: a variant's two workloads do not
share its traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from platforms.clock import SystemClock
from platforms.kubernetes import names
from platforms.kubernetes.api import Api, Object
from platforms.kubernetes.coming import UP, asked_now, coming_up
from platforms.kubernetes.kinds import CONFIG_MAP, ROUTE, SERVICE
from platforms.kubernetes.route import ASKED, Asked, Route, written_by
from platforms.kubernetes.rules import config_of, lingering, rules, weights
from platforms.kubernetes.serving_config import Backend, ServingConfig
from platforms.kubernetes.taken_back import tell
from platforms.kubernetes.workloads import Lacking, lacking, ready_endpoints
from rollout.controller.ports import Clock
from rollout.core.errors import Busy, Conflict, RolloutError
from rollout.core.live import Live, Status, Variant
from rollout.core.plan import EVERYTHING, Guard

_ATTEMPTS = 4  # of a write, each after somebody else's
_LOST_SECONDS = 30.0  # without a ready endpoint, after which a challenger counts as failed


@dataclass(frozen=True)
class RouteTraffic:
    """`Traffic` over the rules of one HTTPRoute.

    Attributes:
        api: The API server.
        endpoint: The route's name.
        clock: Time.
    """

    api: Api
    endpoint: str
    clock: Clock = field(default_factory=SystemClock)
    _configs: dict[str, ServingConfig] = field(default_factory=dict[str, ServingConfig], repr=False, compare=False)

    def read(self) -> Live:
        """What the route, the gateway's word on it, and the endpoints of its backends say.

        Raises:
            NotFound: There is no route.
        """
        route = self._route()
        config = self._serving(route)
        asked = route.asked if route.asked is not None and route.asked.config != route.config else None
        wanted = self._known(asked.config) if asked is not None else None
        backends = {item.workload: item for one in (config, wanted) if one is not None for item in one.backends}
        ready = ready_endpoints(self.api, list(backends))
        coming = coming_up(self.api, asked, wanted, ready, self.clock.time()) if asked is not None else UP
        status, detail = self._standing(route, config, ready)
        if coming.pending and status == "ready":
            status, detail = ("ready" if coming.asked_enough else "changing"), coming.pending
        failure = coming.failure
        if config is None:
            return Live(status, route.config, detail=detail, failure=failure)
        return Live(status, route.config, _variants(route, config, ready), detail, _shadows(config, ready), failure)

    def set_weights(self, weights: Mapping[str, int]) -> None:
        """Write all rules of the config that serves, with these weights; of a variant that is not named 0.

        Raises:
            Busy: A variant that is to get more has no ready endpoint, or the route is being written all the time.
            RolloutError: The weights are not of this config, or their sum is not 100.
        """

        def change(route: Route) -> None:
            config = self._serving(route)
            if config is None:
                raise RolloutError(f"weights {dict(weights)} of HTTPRoute {self.endpoint}: it serves no config yet")
            _refuse_foreign(config, weights)
            self._refuse_unready(route, config, weights)
            older = lingering(route.rules, config)
            if route.rules != rules(config, weights, older):
                self._write(route, route.config, rules(config, weights, self._there(older)), route.asked)

        self._repeated(f"set weights {dict(weights)}", change)

    def use_config(self, name: str, guard: Guard | None = None) -> None:
        """Write the rules of a config: everything to its champion. One that is not ready is noted as asked for.

        Args:
            name: The config.
            guard: Not looked at: a move of the instances alone is made at once when the new ones are ready.

        Raises:
            Busy: The route is being written all the time.
        """

        def change(route: Route) -> None:
            config = self._known(name)
            ready = ready_endpoints(self.api, [item.workload for item in config.backends]) if config else {}
            if config is None or not all(ready.values()):
                asked = asked_now(self.api, route.asked, (name, config), ready, self.clock.time())
                self._write(route, route.config, route.rules if route.config else None, asked)
                return
            older = self._before(route, config)
            self._write(route, name, rules(config, {config.champion.variant: EVERYTHING}, self._there(older)), None)

        self._repeated(f"use config {name}", change)

    def _route(self) -> Route:
        return Route(self.api.get(ROUTE, self.endpoint))

    def _repeated(self, doing: str, change: Callable[[Route], None]) -> None:
        """Do it on what is there now; again when somebody wrote meanwhile."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                change(self._route())
            except Conflict as error:
                if not left:
                    raise Busy(f"{doing} of HTTPRoute {self.endpoint}: others write it all the time") from error
            else:
                return

    def _write(self, route: Route, config: str, wanted: list[Object] | None, asked: Asked | None) -> None:
        """Write what differs. The rules are ours as a whole, whoever wrote them last."""
        if (wanted is None or wanted == route.rules) and (config, asked) == (route.config, route.asked):
            return
        others = written_by(route.content) if wanted is not None and wanted != route.rules else []
        annotations = {names.CONFIG: config} if config else {}
        if asked is not None:
            annotations[ASKED] = asked.to_json()
        whole: Object = {"metadata": {**route.identity, "annotations": annotations}}
        if wanted is not None:
            whole["spec"] = {"rules": wanted}
        self.api.apply(ROUTE, whole, names.MANAGER, force=True)
        if others:
            tell(self.api, route.content, others, self.clock.time())

    def _known(self, name: str) -> ServingConfig | None:
        """A config, by its name; None when there is none. It never changes, so it is read once."""
        if name not in self._configs:
            found = self.api.find(CONFIG_MAP, name) if name else None
            if found is None:
                return None
            try:
                self._configs[name] = ServingConfig.from_json(found["data"][names.CONTENT])
            except (KeyError, TypeError, ValueError) as error:
                raise RolloutError(f"ConfigMap {name} in namespace {self.api.namespace}: {error}") from error
        return self._configs[name]

    def _serving(self, route: Route) -> ServingConfig | None:
        """The config that serves; by the rules themselves when its ConfigMap is gone."""
        if not route.config:
            return None
        return self._known(route.config) or config_of(route.config, route.rules)

    def _there(self, backends: list[Backend]) -> list[Backend]:
        """Those whose Service is still there: a rule without one is an error of the route."""
        return [item for item in backends if self.api.find(SERVICE, item.workload) is not None]

    def _before(self, route: Route, config: ServingConfig) -> list[Backend]:
        """What serves until now, and keeps its rules for a while."""
        before = self._serving(route)
        if before is None or route.config == config.name:
            return lingering(route.rules, config)
        return [item for item in before.backends if item.workload not in {one.workload for one in config.backends}]

    def _refuse_unready(self, route: Route, config: ServingConfig, wanted: Mapping[str, int]) -> None:
        has = _by_variant(config, weights(route.rules))
        gains = [item for item in config.backends if wanted.get(item.variant, 0) > has.get(item.variant, 0)]
        ready = ready_endpoints(self.api, [item.workload for item in gains])
        without = [lacking(self.api, item).words for item in gains if not ready[item.workload]]
        if without:
            told = "; ".join(without)
            raise Busy(f"weights {dict(wanted)} of {self.endpoint}: no ready endpoint to give more to: {told}")

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


def _by_variant(config: ServingConfig, by_workload: Mapping[str, int]) -> dict[str, int]:
    return {item.variant: by_workload.get(item.workload, 0) for item in config.backends}


def _variants(route: Route, config: ServingConfig, ready: Mapping[str, int]) -> dict[str, Variant]:
    """The variants that answer. Rules that nobody of ours wrote count as going wholly to the challenger.

    So whatever was decided differs from them, and is written again.
    """
    has = _by_variant(config, weights(route.rules))
    ours = route.rules == rules(config, has, lingering(route.rules, config))
    answering = config.backends if config.copied is None else (config.champion,)
    going: Mapping[str, float] = has if ours else {item.variant: _FOREIGN[at] for at, item in enumerate(answering)}
    if not ours and len(answering) == 1:
        going = {}
    return {
        item.variant: Variant(has[item.variant], going.get(item.variant, 0), ready[item.workload]) for item in answering
    }


_FOREIGN = (0.5, 99.5)  # no plan has these weights


def _shadows(config: ServingConfig, ready: Mapping[str, int]) -> dict[str, Variant]:
    if config.copied is None or config.challenger is None:
        return {}
    return {config.challenger.variant: Variant(config.copied, config.copied, ready[config.challenger.workload])}


def _refuse_foreign(config: ServingConfig, wanted: Mapping[str, int]) -> None:
    answering = config.backends if config.copied is None else (config.champion,)
    own = {item.variant for item in answering}
    unknown = sorted(name for name, weight in wanted.items() if weight and name not in own)
    total = sum(weight for name, weight in wanted.items() if name in own)
    if unknown or total != EVERYTHING or min(wanted.values()) < 0:
        raise RolloutError(
            f"weights {dict(wanted)}: config {config.name} takes weights of {', '.join(sorted(own))} with the sum 100"
        )
