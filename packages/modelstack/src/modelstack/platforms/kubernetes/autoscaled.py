"""Autoscaled pods: a challenger scales up before it gets more traffic, and a champion does not scale down meanwhile.

A HorizontalPodAutoscaler follows the load, so it is late for a step: 50% of the traffic would meet the pods of 10%. So
minReplicas is raised first, and the step waits for ready pods. The champion's minReplicas is raised when a trial
begins, because a rollback returns all traffic at once, and reset some time after the trial. The journal alone says
whether a trial is over, so a killed controller leaves nothing raised for good.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.answers import NotFound
from modelstack.platforms.kubernetes.api import Api, Object
from modelstack.platforms.kubernetes.journal import KubernetesJournal
from modelstack.platforms.kubernetes.kinds import AUTOSCALER
from modelstack.platforms.kubernetes.serving_config import ServingConfig
from modelstack.rollout.core.errors import Conflict
from modelstack.rollout.core.plan import EVERYTHING
from modelstack.rollout.core.state import StateError

LEAST = f"{names.GROUP}/least-instances"  # annotation of an autoscaler: the minReplicas of the stack's config
HELD = f"{names.GROUP}/held-until"
"""Annotation: until when a raised minReplicas is kept, epoch seconds. Without it, until the end of the trial."""
TARGET_PERCENT = 70  # target utilization of the requested CPU; the examples of Kubernetes use values near it
_FOLLOWS, _WARM = 900, 3600  # seconds: until the metrics show a promoted one's load; of a previous champion


@dataclass(frozen=True)
class Autoscaler:
    """A HorizontalPodAutoscaler as it was read.

    Attributes:
        floor: The current minReplicas.
        least: The minReplicas of the stack's config.
        until: Until when a raised floor is kept, epoch seconds; None during a trial, or if it is not raised.
    """

    content: Object
    floor: int
    least: int
    most: int
    until: int | None

    @classmethod
    def of(cls, content: Object) -> Autoscaler:
        """Parse the object."""
        spec, notes = content["spec"], content["metadata"].get("annotations") or {}
        floor = int(spec.get("minReplicas") or 1)
        least = _number(notes.get(LEAST, "")) or floor
        return cls(content, floor, least, int(spec["maxReplicas"]), _number(notes.get(HELD, "")))

    def within(self, pods: float) -> int:
        """This many pods, within the autoscaler's limits."""
        return max(self.least, min(self.most, math.ceil(pods)))


def _number(annotation: str) -> int | None:
    """None for other text, because anyone can write annotations."""
    return int(annotation) if re.fullmatch("[0-9]{1,15}", annotation) else None


def manifest(workload: str, least: int, most: int) -> dict[str, Any]:
    """The autoscaler of a workload, as the stack declares it."""
    utilization = {"type": "Utilization", "averageUtilization": TARGET_PERCENT}
    return {
        "apiVersion": AUTOSCALER.api_version,
        "kind": AUTOSCALER.kind,
        "metadata": {"name": workload, "annotations": {LEAST: str(least)}},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": utilization}}],
        },
    }


def before_more(api: Api, config: ServingConfig, has: Mapping[str, int], weight: int, ready: Mapping[str, int]) -> str:
    """Raise minReplicas for the challenger's next weight, and keep the champion's pods.

    `has` and `ready` are the weights in percent and the ready endpoints by workload. Returns which pods are missing;
    empty if none are, or if the challenger is not autoscaled.
    """
    champion, challenger = config.champion, config.challenger
    if challenger is None:
        return ""
    serving, tried = _of(api, champion.workload), _of(api, challenger.workload)
    share = has.get(challenger.workload, 0)
    kept = ready[champion.workload]
    if serving is not None:
        kept = serving.floor if share else max(kept, serving.floor)
        _keep(api, serving, kept)
    if tried is None:
        return ""
    whole = [kept, *_beyond(ready[champion.workload], kept, has.get(champion.workload, 0))]
    whole += _beyond(ready[challenger.workload], tried.floor, share)
    wants = tried.within(max(whole) * weight / EVERYTHING)
    _keep(api, tried, max(wants, tried.floor))
    there = ready[challenger.workload]
    return "" if there >= wants else f"{challenger.variant} has {there} of the {wants} pods that {weight}% needs"


def before_taking_over(api: Api, workload: str, pods: int) -> int | None:
    """Request `pods` pods and return how many there will be; None if the workload is not autoscaled."""
    found = _of(api, workload)
    if found is None:
        return None
    wants = found.within(pods)
    _keep(api, found, max(wants, found.floor))
    return wants


def lower(api: Api, now: float) -> None:
    """Reset each minReplicas of the namespace whose time is over, and set that time after a trial.

    An autoscaler that a trial writes at the same moment waits for the next call.
    """
    for content in api.list(AUTOSCALER, {"app.kubernetes.io/part-of": "modelstack"}):
        found = Autoscaler.of(content)
        until = found.until
        if until is None and found.floor > found.least:
            until = _kept_until(api, found, now)
        with suppress(Conflict):
            if until is not None and until <= now:
                _put(api, found, found.least, None)
            elif until is not None and found.until is None:
                _put(api, found, found.floor, until)


def _kept_until(api: Api, found: Autoscaler, now: float) -> float | None:
    """Until when a raised floor is kept that has no time yet; None while a rollout of its endpoint is under way.

    The journal is read after the autoscaler, so a raised floor with a journal at rest is of a trial that is over.
    """
    metadata = found.content["metadata"]
    try:
        state = KubernetesJournal(api, str((metadata.get("labels") or {}).get(names.ENDPOINT) or "")).read()
    except (NotFound, StateError):
        return None
    if state.on_trial or not state.at_rest:
        return None
    seconds = {
        **({state.previous.config_name: _WARM} if state.previous else {}),
        **({state.champion.config_name: _FOLLOWS} if state.champion else {}),
    }
    return now + seconds.get(metadata["name"], 0)


def _beyond(ready: int, floor: int, weight: int) -> list[float]:
    """The pods that the total load needs, if an autoscaler exceeds its floor at half of the load or more."""
    return [ready * EVERYTHING / weight] if 2 * weight >= EVERYTHING and ready > floor else []


def _of(api: Api, workload: str) -> Autoscaler | None:
    found = api.find(AUTOSCALER, workload)
    return Autoscaler.of(found) if found is not None else None


def _keep(api: Api, found: Autoscaler, pods: int) -> None:
    """Keep at least this many pods during a trial."""
    if pods != found.floor or found.until is not None:
        _put(api, found, min(pods, found.most), None)


def _put(api: Api, found: Autoscaler, floor: int, until: float | None) -> None:
    metadata = {key: found.content["metadata"][key] for key in ("name", "uid", "resourceVersion")}
    held = {"annotations": {HELD: f"{until:.0f}"}} if until is not None else {}
    whole = {"metadata": {**metadata, **held}, "spec": {"minReplicas": floor}}
    api.apply(AUTOSCALER, whole, names.MANAGER, force=True)
