"""An HTTPRoute as the traffic adapter sees it: its rules, the config they were made from, and the gateway's word on it.

route = Route(api.get(ROUTE, "flight-delay-prod"))
route.config, route.rules, route.not_yet

Source: Gateway API 1.3, HTTPRoute: `status.parents[].conditions` Accepted and ResolvedRefs with `observedGeneration`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from platforms.kubernetes import names
from platforms.kubernetes.api import Object
from platforms.kubernetes.moving import MOVE, Move
from rollout.core.state import RolloutState

ASKED = f"{names.GROUP}/asked"
"""The annotation of a route with the config that is asked for and could not serve yet."""
_LOOKED_AT_OURSELVES = "BackendNotFound"  # by the endpoints; and a rule that lingers may have lost its Service


@dataclass(frozen=True)
class PendingConfig:
    """A config that is asked for and could not serve yet.

    Attributes:
        config: Its name.
        since: Since when it is waited for, epoch seconds.
        at: When it was last asked for, epoch seconds.
        pods: How many pods of its champion are waited for; 0 where one is enough.
        began: When the rollout began that asked, epoch seconds: only in that one counts what is told of the config. 0
            when nobody noted it.
    """

    config: str
    since: float
    at: float
    pods: int = 0
    began: float = 0.0

    def counts_in(self, state: RolloutState) -> bool:
        """Whether what is told of the config counts in a rollout: not when only an earlier one asked for it."""
        return self.began in {0.0, state.started_at}

    def to_json(self) -> str:
        """For the annotation."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True)
class Route:
    """A route as it was read."""

    content: Object

    @property
    def identity(self) -> dict[str, Any]:
        """What a write must find unchanged, with the name."""
        metadata = self.content["metadata"]
        return {key: metadata[key] for key in ("name", "uid", "resourceVersion")}

    @property
    def rules(self) -> list[Object]:
        """The rules, in their order."""
        return list(self.content["spec"].get("rules") or [])

    @property
    def config(self) -> str:
        """The config that the rules were made from; empty before the first."""
        return str(self._annotations.get(names.CONFIG) or "")

    @property
    def asked(self) -> PendingConfig | None:
        """What is asked for and could not serve yet; None, too, when nobody can read it."""
        try:
            value = json.loads(self._annotations[ASKED])
            since, at, pods = float(value["since"]), float(value["at"]), int(value.get("pods") or 0)
            return PendingConfig(str(value["config"]), since, at, pods, float(value.get("began") or 0))
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def move(self) -> Move | None:
        """The move to other pods that is under way, or was taken back; None, too, when nobody can read it."""
        try:
            return Move.from_json(self._annotations[MOVE])
        except (KeyError, ValueError):
            return None

    @property
    def not_yet(self) -> str:
        """What the gateway has not done yet with the route as it stands; empty when all is done."""
        if not self.config:
            return ""  # without rules of ours there is nothing to wait for
        generation = self.content["metadata"].get("generation", 0)
        parents = self.content["spec"].get("parentRefs") or []
        told = (self.content.get("status") or {}).get("parents") or []
        for parent in parents:
            own = [item for item in told if _same(item.get("parentRef") or {}, parent)]
            if not own:
                return f"no gateway has taken the route: none tells of Gateway {parent.get('name')}"
            for item in own:
                waits = _waits(item.get("conditions") or [], generation)
                if waits:
                    return f"Gateway {parent.get('name')}: {waits}"
        return "" if parents else "the route belongs to no Gateway: it has no parentRefs"

    @property
    def _annotations(self) -> Mapping[str, str]:
        return self.content["metadata"].get("annotations") or {}


def written_by(content: Mapping[str, Any]) -> list[str]:
    """Who else than the rollout controller wrote the rules, each with the time."""
    entries = content["metadata"].get("managedFields") or []
    return [
        f"{item.get('manager')} ({item.get('operation')}, {item.get('time')})"
        for item in entries
        if item.get("manager") != names.MANAGER and "f:rules" in ((item.get("fieldsV1") or {}).get("f:spec") or {})
    ]


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one.get(key) == other[key] for key in ("name", "namespace", "sectionName", "port") if key in other)


def _waits(conditions: list[Mapping[str, Any]], generation: int) -> str:
    found = {str(item.get("type")): item for item in conditions}
    for name in ("Accepted", "ResolvedRefs"):
        condition = found.get(name)
        if condition is None or int(condition.get("observedGeneration") or 0) < generation:
            return f"{name} is not told yet of generation {generation}"
        excused = name == "ResolvedRefs" and condition.get("reason") == _LOOKED_AT_OURSELVES
        if condition.get("status") != "True" and not excused:
            return f"{name} is {condition.get('status')}, {condition.get('reason')}: {condition.get('message')}"
    return ""
