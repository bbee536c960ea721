"""An HTTPRoute as the traffic adapter reads it: rules, config, and status by the gateway.

Source: Gateway API 1.3, HTTPRoute: `status.parents[].conditions` Accepted and ResolvedRefs with `observedGeneration`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.api import Object
from modelstack.platforms.kubernetes.moving import MOVE, Move
from modelstack.rollout.core.state import RolloutState

ASKED = f"{names.GROUP}/asked"  # the annotation of a route with a requested config that cannot serve yet
_LOOKED_AT_OURSELVES = "BackendNotFound"  # by the endpoints; and a rule that lingers may have lost its Service


@dataclass(frozen=True)
class PendingConfig:
    """A requested config that cannot serve yet.

    Attributes:
        since: The start of the wait, epoch seconds.
        at: The last request, epoch seconds.
        pods: The required number of its champion's pods; 0 if one is enough.
        began: The start of the rollout that requested it, epoch seconds; 0 if unknown.
    """

    config: str
    since: float
    at: float
    pods: int = 0
    began: float = 0.0

    def counts_in(self, state: RolloutState) -> bool:
        """Whether this rollout requested it, not only an earlier one."""
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
        """The metadata that a write requires to be unchanged."""
        metadata = self.content["metadata"]
        return {key: metadata[key] for key in ("name", "uid", "resourceVersion")}

    @property
    def rules(self) -> list[Object]:
        """The rules in order."""
        return list(self.content["spec"].get("rules") or [])

    @property
    def config(self) -> str:
        """The config of the rules; empty before the first."""
        return str(self._annotations.get(names.CONFIG) or "")

    @property
    def asked(self) -> PendingConfig | None:
        """The requested config that cannot serve yet; None also if it cannot be parsed."""
        try:
            value = json.loads(self._annotations[ASKED])
            since, at, pods = float(value["since"]), float(value["at"]), int(value.get("pods") or 0)
            return PendingConfig(str(value["config"]), since, at, pods, float(value.get("began") or 0))
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def move(self) -> Move | None:
        """The move to other pods, or a failed one; None also if it cannot be parsed."""
        try:
            return Move.from_json(self._annotations[MOVE])
        except (KeyError, ValueError):
            return None

    @property
    def not_yet(self) -> str:
        """What the gateway has not applied yet; empty if everything is."""
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
    """The other field managers that wrote the rules, with the time."""
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
