"""Autoscaled pods: a challenger has enough of them before it gets more traffic, a champion keeps its own meanwhile.

    lacking = before_more(api, config, {"w-old": 90, "w-new": 10}, 50, ready)     # "" when there are enough
    lower(api, now)     # each minute

A HorizontalPodAutoscaler follows the load, so it is late for a step: 50% of the traffic would meet the pods of 10%. So
the least that it may go down to is raised first, and the step waits until so many are ready. The champion's least is
raised to what it has when a trial begins: its load falls in the trial, and a rollback gives it everything at once.
After the trial the champion's is kept for a while, and then put back. Only the journal says whether a trial is over, so
a controller that is killed leaves nothing raised for good. The number of replicas is the autoscaler's alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from platforms.kubernetes import names
from platforms.kubernetes.answers import NotFound
from platforms.kubernetes.api import Api, Object
from platforms.kubernetes.journal import KubernetesJournal
from platforms.kubernetes.kinds import AUTOSCALER
from platforms.kubernetes.serving_config import ServingConfig
from rollout.core.errors import Conflict
from rollout.core.plan import EVERYTHING
from rollout.core.state import StateError

LEAST = f"{names.GROUP}/least-instances"
"""The annotation of an autoscaler with the least that the stack's config asks for."""
HELD = f"{names.GROUP}/held-until"
"""The annotation with the time, epoch seconds, until which a higher least is kept; without it a trial keeps it."""
TARGET_PERCENT = 70
"""Of the processor that a pod asks for, which its pods are to use; Kubernetes' examples and default are near it."""
_FOLLOWS, _WARM = 900, 3600  # seconds: until the metrics show a promoted one's load; of a previous champion


@dataclass(frozen=True)
class Autoscaler:
    """A HorizontalPodAutoscaler as it was read."""

    content: Object

    @property
    def name(self) -> str:
        """Its name, which is that of the workload."""
        return str(self.content["metadata"]["name"])

    @property
    def endpoint(self) -> str:
        """Whose it is: the name of a Rollout."""
        return str((self.content["metadata"].get("labels") or {}).get(names.ENDPOINT) or "")

    @property
    def floor(self) -> int:
        """The least that it goes down to now."""
        return int(self.content["spec"].get("minReplicas") or 1)

    @property
    def least(self) -> int:
        """The least that the stack's config asks for."""
        return self._told(LEAST) or self.floor

    @property
    def most(self) -> int:
        """The most that it goes up to."""
        return int(self.content["spec"]["maxReplicas"])

    @property
    def until(self) -> int | None:
        """Until when a higher floor is kept, epoch seconds; None while a trial keeps it, or where there is none."""
        return self._told(HELD)

    def within(self, pods: float) -> int:
        """So many pods, as far as it may have them."""
        return max(self.least, min(self.most, math.ceil(pods)))

    def _told(self, annotation: str) -> int | None:
        """A number of ours; None where there is none, or something else: anybody may write annotations."""
        told = (self.content["metadata"].get("annotations") or {}).get(annotation, "")
        return int(told) if re.fullmatch("[0-9]{1,15}", told) else None


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
    """Keep the champion's pods, and ask for those that a challenger needs for its next weight.

    Args:
        api: The API server.
        config: The config of both.
        has: Workload -> its weight now.
        weight: The challenger's next one, percent.
        ready: Workload -> its ready endpoints.

    Returns:
        What is lacking; empty when nothing is, and where the challenger is not autoscaled.
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
    """Ask for as many pods as serve now; how many of them there will be, None of a workload that is not autoscaled."""
    found = _of(api, workload)
    if found is None:
        return None
    wants = found.within(pods)
    _keep(api, found, max(wants, found.floor))
    return wants


def lower(api: Api, now: float) -> None:
    """Put the least of each autoscaler of the namespace back whose time is over, and say when that is after a trial.

    One that a trial has just written is left for the next time.
    """
    for content in api.list(AUTOSCALER, {"app.kubernetes.io/part-of": "modelstack"}):
        found = Autoscaler(content)
        until = found.until
        if until is None and found.floor > found.least:
            until = _kept_until(api, found, now)
        with suppress(Conflict):
            if until is not None and until <= now:
                _put(api, found, found.least, None)
            elif until is not None and found.until is None:
                _put(api, found, found.floor, until)


def _kept_until(api: Api, found: Autoscaler, now: float) -> float | None:
    """Until when a higher floor is kept that nobody gave a time; None while a rollout of its endpoint is under way.

    The journal is read after the autoscaler. So a floor that was raised when the journal is at rest is of a trial that
    is over.
    """
    try:
        state = KubernetesJournal(api, found.endpoint).read()
    except (NotFound, StateError):
        return None
    if state.on_trial or not state.at_rest:
        return None
    seconds = {
        **({state.previous.config_name: _WARM} if state.previous else {}),
        **({state.champion.config_name: _FOLLOWS} if state.champion else {}),
    }
    return now + seconds.get(found.name, 0)


def _beyond(ready: int, floor: int, weight: int) -> list[float]:
    """What the whole load takes, where an autoscaler went beyond its floor for half of it or more.

    The pods of a small share say little of the whole: one more may be one that has just started and is busy.
    """
    return [ready * EVERYTHING / weight] if 2 * weight >= EVERYTHING and ready > floor else []


def _of(api: Api, workload: str) -> Autoscaler | None:
    found = api.find(AUTOSCALER, workload)
    return Autoscaler(found) if found is not None else None


def _keep(api: Api, found: Autoscaler, pods: int) -> None:
    """Keep at least so many, for as long as a trial lasts."""
    if pods != found.floor or found.until is not None:
        _put(api, found, min(pods, found.most), None)


def _put(api: Api, found: Autoscaler, floor: int, until: float | None) -> None:
    metadata = {key: found.content["metadata"][key] for key in ("name", "uid", "resourceVersion")}
    held = {"annotations": {HELD: f"{until:.0f}"}} if until is not None else {}
    whole = {"metadata": {**metadata, **held}, "spec": {"minReplicas": floor}}
    api.apply(AUTOSCALER, whole, names.MANAGER, force=True)
