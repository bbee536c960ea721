"""Reads a route and its configs, and writes changes only to the version that was read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from modelstack.platforms.clock import SystemClock
from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.api import Api, Object
from modelstack.platforms.kubernetes.api_requests import event_object
from modelstack.platforms.kubernetes.kinds import CONFIG_MAP, EVENT, ROUTE, SERVICE
from modelstack.platforms.kubernetes.moving import MOVE, Move
from modelstack.platforms.kubernetes.route import ASKED, PendingConfig, Route, written_by
from modelstack.platforms.kubernetes.rules import Split, config_of
from modelstack.platforms.kubernetes.serving_config import Backend, ServingConfig
from modelstack.rollout.controller.ports import Clock
from modelstack.rollout.core.errors import Busy, Conflict, RolloutError

_ATTEMPTS = 4  # of a write, each after somebody else's


@dataclass(frozen=True)
class RouteStore:
    """One HTTPRoute, and the configs of its namespace."""

    api: Api
    name: str
    clock: Clock = field(default_factory=SystemClock)
    _configs: dict[str, ServingConfig] = field(default_factory=dict[str, ServingConfig], repr=False, compare=False)

    def read(self) -> Route:
        """The current route; raises NotFound."""
        return Route(self.api.get(ROUTE, self.name))

    def repeated(self, doing: str, change: Callable[[Route], None]) -> None:
        """Read and change the route, with retries after conflicts; raises Busy if others keep writing it."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                change(self.read())
            except Conflict as error:
                if not left:
                    raise Busy(f"{doing} of HTTPRoute {self.name}: others write it all the time") from error
            else:
                return

    def write(
        self,
        route: Route,
        config: str,
        wanted: list[Object] | None,
        *,
        asked: PendingConfig | None = None,
        move: Move | None = None,
    ) -> bool:
        """Write what differs; whether anything did. All rules belong to us, whoever wrote them last.

        `wanted` has the rules, None for a route without rules; `asked` is the requested config that cannot serve yet.
        Raises Conflict if the route has changed since.
        """
        same = wanted is None or wanted == route.rules
        if same and (config, asked, move) == (route.config, route.asked, route.move):
            return False
        others = written_by(route.content) if not same else []
        annotations = {names.CONFIG: config} if config else {}
        if asked is not None:
            annotations[ASKED] = asked.to_json()
        if move is not None:
            annotations[MOVE] = move.to_json()
        whole: Object = {"metadata": {**route.identity, "annotations": annotations}}
        if wanted is not None:
            whole["spec"] = {"rules": wanted}
        self.api.apply(ROUTE, whole, names.MANAGER, force=True)
        if others:
            _record_revert(self.api, route.content, others, self.clock.time())
        return True

    def known(self, name: str) -> ServingConfig | None:
        """A config by its name, cached because it is immutable; None if it does not exist."""
        if name not in self._configs:
            found = self.api.find(CONFIG_MAP, name) if name else None
            if found is None:
                return None
            try:
                self._configs[name] = ServingConfig.from_json(found["data"][names.CONTENT])
            except (KeyError, TypeError, ValueError) as error:
                raise RolloutError(f"ConfigMap {name} in namespace {self.api.namespace}: {error}") from error
        return self._configs[name]

    def serving(self, route: Route) -> ServingConfig | None:
        """The config that serves; derived from the rules if its ConfigMap or its annotation is gone."""
        return self.known(route.config) or config_of(route.config, route.rules)

    def split(self, route: Route) -> Split | None:
        """The current traffic of a move's new pods; None without a move, or if its config is gone."""
        move = route.move
        to = self.known(move.config) if move is not None and move.under_way else None
        return Split(to.champion, move.share) if move is not None and to is not None else None

    def there(self, backends: Iterable[Backend]) -> list[Backend]:
        """The backends whose Service exists: a rule without one is an error of the route."""
        return [item for item in backends if self.api.find(SERVICE, item.workload) is not None]


def _record_revert(api: Api, route: Mapping[str, Any], others: Sequence[str], now: float) -> None:
    """Create an Event, once for each version of the route, with the writers of its rules; ignore a failure."""
    metadata = route["metadata"]
    about = {key: metadata[key] for key in ("name", "uid", "resourceVersion")}
    mark = hashlib.sha256(f"{about}".encode()).hexdigest()[:16]
    kind = {"apiVersion": ROUTE.api_version, "kind": ROUTE.kind, "namespace": metadata.get("namespace", api.namespace)}
    message = (
        f"spec.rules was written by {', '.join(others)}. Only {names.MANAGER} writes it: the rules of the rollout are "
        "back. To change weights by hand, use `modelstack`."
    )
    name = f"{metadata['name']}.{mark}"
    with suppress(RolloutError):
        api.create(
            EVENT, event_object(name, about | kind, "RulesTakenBack", message, at=now, by=names.MANAGER, warning=True)
        )
