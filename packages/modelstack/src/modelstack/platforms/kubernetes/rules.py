"""The rules of a route from a config and weights, and back. Pure.

Each backend has a rule for requests that name it in the target header; the last rule has the weights for all others.
The first ones keep the gateway's connections to a backend of weight 0, so that moving all traffic at once loses no
request, and they carry replayed requests. For the same reason the rules of earlier backends stay for a while.

Only paths of predictions are routed: `/ping` and `/metrics` of a pod would reveal too much, and health checks would
count as requests. The only filter is the mirror of a shadow: the pod names its variant in the response, so an error of
the gateway never counts for one. All fields that the API server defaults are explicit, so reading returns what was
written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelstack.platforms.kubernetes.names import PORT, TARGET_HEADER
from modelstack.platforms.kubernetes.serving_config import Backend, ServingConfig
from modelstack.rollout.core.plan import EVERYTHING

Rule = dict[str, Any]
PREDICTIONS: tuple[Mapping[str, str], ...] = (
    {"type": "Exact", "value": "/invocations"},
    {"type": "PathPrefix", "value": "/v2/models"},
)
"""The paths of predictions: SageMaker's contract, and the Open Inference Protocol."""
_MIRROR = "RequestMirror"


@dataclass(frozen=True)
class Split:
    """The percentage of the champion's traffic on other pods of the same variant."""

    backend: Backend
    percent: int


def rules(
    config: ServingConfig, weights: Mapping[str, int], lingering: Iterable[Backend] = (), split: Split | None = None
) -> list[Rule]:
    """The rules of a config, with weights in percent, by default 0.

    Earlier backends (`lingering`) keep a rule. One of a variant that the config has too is addressed by its workload's
    name. A split needs a config without challenger.
    """
    own = {backend.variant for backend in config.backends}
    beside = {item.workload: item for item in (*([split.backend] if split else ()), *lingering)}
    older = [
        Backend(item.workload if item.variant in own else item.variant, item.workload)
        for item in beside.values()
        if item.workload not in {backend.workload for backend in config.backends}
    ]
    answering = config.backends if config.copied is None else (config.champion,)
    parts = [(item.workload, weights.get(item.variant, 0)) for item in answering]
    if split is not None:
        parts = [(config.champion.workload, EVERYTHING - split.percent), (split.backend.workload, split.percent)]
    default: Rule = {
        "matches": _predictions(),
        "backendRefs": [_reference(workload) | {"weight": weight} for workload, weight in parts],
    }
    if config.copied is not None and config.challenger is not None:
        mirror = {"backendRef": _reference(config.challenger.workload), "percent": config.copied}
        default["filters"] = [{"type": _MIRROR, "requestMirror": mirror}]
    return [*(_target(item) for item in (*config.backends, *older)), default]


def weights(live: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Workload -> its weight in the default rule; empty without such a rule."""
    default = _default(live)
    found = (_references(default) if default else ()) or ()
    return {str(item.get("name")): int(item.get("weight", 1)) for item in found}


def config_of(name: str, live: Sequence[Mapping[str, Any]]) -> ServingConfig | None:
    """The config derived from its rules, if its ConfigMap is lost; None if they are not such rules."""
    targets = {backend.workload: backend for backend in _targets(live)}
    default = _default(live)
    if default is None:
        return None
    named = [targets[str(item.get("name"))] for item in _references(default) if item.get("name") in targets]
    answering = [backend for backend in named if backend.variant != backend.workload]  # else it is the champion's too
    mirrors = [item["requestMirror"] for item in default.get("filters") or () if item.get("type") == _MIRROR]
    copies = [(targets[item["backendRef"]["name"]], item) for item in mirrors if item["backendRef"]["name"] in targets]
    if not answering:
        return None
    if copies:
        backend, mirror = copies[0]
        return ServingConfig(name, answering[0], backend, int(mirror.get("percent", 100)))
    return ServingConfig(name, answering[0], answering[1] if len(answering) > 1 else None)


def lingering(live: Sequence[Mapping[str, Any]], config: ServingConfig) -> list[Backend]:
    """The backends that have a rule but are not in the config."""
    own = {backend.workload for backend in config.backends}
    return [backend for backend in _targets(live) if backend.workload not in own]


def _target(backend: Backend) -> Rule:
    header = {"type": "Exact", "name": TARGET_HEADER, "value": backend.variant}
    return {"matches": _predictions(headers=[header]), "backendRefs": [_reference(backend.workload) | {"weight": 1}]}


def _predictions(**more: Any) -> list[Rule]:
    return [{"path": dict(path), "method": "POST", **more} for path in PREDICTIONS]


def _reference(workload: str) -> Rule:
    return {"group": "", "kind": "Service", "name": workload, "port": PORT}


def _references(rule: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return rule.get("backendRefs") or ()


def _default(live: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    plain = [rule for rule in live if not any(match.get("headers") for match in rule.get("matches") or ())]
    return plain[-1] if plain else None


def _targets(live: Sequence[Mapping[str, Any]]) -> list[Backend]:
    found: dict[str, Backend] = {}
    for rule in live:
        for match in rule.get("matches") or ():
            for header in match.get("headers") or ():
                if header.get("name") == TARGET_HEADER and len(_references(rule)) == 1:
                    workload = str(_references(rule)[0].get("name"))
                    found.setdefault(workload, Backend(str(header.get("value")), workload))
    return list(found.values())
