"""Readiness of workloads, and why one is not ready, in the messages of the cluster and the container.

A message begins with the variant, which rejects the release, only if its own container fails: an image that cannot be
pulled, a full cluster or a missing object says nothing about a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from modelstack.platforms.kubernetes.api import Api, Object
from modelstack.platforms.kubernetes.kinds import DEPLOYMENT, ENDPOINT_SLICE, POD, SERVICE
from modelstack.platforms.kubernetes.serving_config import Backend
from modelstack.rollout.core.errors import RolloutError

SERVICE_NAME = "kubernetes.io/service-name"  # the label of an EndpointSlice with its Service
DEADLINE = 600.0  # the default of a Deployment's progressDeadlineSeconds
_ENDED, _CRASHES = "CrashLoopBackOff", 3
"""The reason of a container that crashes repeatedly, and the number of crashes that count as final."""
_UNREADY = "NotReady"  # our own word for a container that fails its health check
_UNFETCHED = "Unfetched"  # our own word for a package that cannot be had now
_MAY_PASS = 4  # the exit status of `python -m modelstack.serving fetch` when the package cannot be had now
_REFUSED = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
    }
)
_STARTS = frozenset({"Pending", "Running"})  # phases of a pod that starts normally
_LINES, _LONGEST = 3, 500  # of what a container said last
_EGRESS = "modelstack:kubernetes.egress_ports"
_PULLS = "modelstack:kubernetes.pull_secret"
_ADDRESS = re.compile(r"\b(?:oci|s3)://[^\s'\",;]*[^\s'\",;:.]")


@dataclass(frozen=True)
class Lacking:
    """Why a workload has no ready endpoint.

    Attributes:
        words: The message; it begins with the variant if its own container fails.
        short: The cluster's reason, such as `CrashLoopBackOff`.
        since: Since when it is not ready, epoch seconds; None if unknown. By its pods if there are any, because a
            Deployment is unavailable as soon as one of its pods is missing.
    """

    words: str
    short: str
    final: bool = False
    since: float | None = None
    deadline: float = DEADLINE


def ready_endpoints(api: Api, workloads: Sequence[str]) -> dict[str, int]:
    """Workload -> its number of ready pods."""
    found: dict[str, set[str]] = {name: set() for name in workloads}
    if not found:
        return {}
    for piece in api.list(ENDPOINT_SLICE, {SERVICE_NAME: tuple(found)}):
        found[piece["metadata"]["labels"][SERVICE_NAME]].update(_ready(piece.get("endpoints") or ()))
    return {name: len(addresses) for name, addresses in found.items()}


def lacking(api: Api, backend: Backend, began: float = 0.0, *, served: bool = False) -> Lacking:
    """Why a workload has no ready endpoint.

    `began` is the start of the wait, epoch seconds: a Deployment's deadline that was exceeded before is ignored. Of a
    workload that served before, only a container that ended is to blame: pods may be deleted, or hang with their node.
    """
    name = backend.workload
    deployment = api.find(DEPLOYMENT, name)
    if deployment is None:
        return Lacking(f"Deployment {name} is not there", "Missing", final=True)
    spec, said = deployment["spec"], _conditions(deployment)
    deadline = _deadline(deployment)
    available, progressing = said.get("Available", {}), said.get("Progressing", {})
    unavailable = _since(available)
    if spec.get("replicas", 1) == 0:
        return Lacking(f"Deployment {name} has 0 replicas", "Scaled", final=True, since=unavailable, deadline=deadline)
    pods = [pod for pod in api.list(POD, spec["selector"].get("matchLabels") or {}) if not _leaving(pod)]
    since = max((at for pod in pods if (at := _unready(pod)) is not None), default=unavailable)
    troubles = [_trouble(pod) for pod in pods] or [_of_deployment(said)]
    worst = max(troubles, key=lambda item: (item.final, item.own))
    passed = progressing.get("reason") == "ProgressDeadlineExceeded" and (_since(progressing) or began) >= began
    late = passed and not any(_came_up(pod) for pod in pods)
    final = late or all(item.final for item in troubles)
    text = worst.words
    if available.get("status") == "True" and api.find(SERVICE, name) is None:
        text = f"Service {name} is not there"
    comes = "does not come up" if final or worst.short not in _STARTS else "is not up yet"
    own = worst.own and not (served and worst.short == _UNREADY)
    who = f"{backend.variant} {comes}: " if own else f"workload {name} {'lost its pods' if served else comes}: "
    text = text if own else _ADDRESS.sub("its package", text)  # an address would name the release as the culprit
    waited = f" (ProgressDeadlineExceeded, {deadline:.0f} s)" if late else ""
    return Lacking(f"{who}{text}{waited}", worst.short, final, since, deadline)


def happened(api: Api, workload: str, since: float) -> str:
    """What happened to a workload's pods since a time, epoch seconds; empty if nothing, or if unknown."""
    try:
        deployment = api.find(DEPLOYMENT, workload)
        pods = api.list(POD, deployment["spec"]["selector"].get("matchLabels") or {}) if deployment else []
    except RolloutError:
        return ""
    new = [pod for pod in pods if (_epoch(pod["metadata"].get("creationTimestamp")) or 0.0) >= since]
    found = [f"{len(new)} of {len(pods)} pods were made since the trial began"] if new or not pods else []
    for pod in pods:
        for container in (pod.get("status") or {}).get("containerStatuses") or ():
            last = next(
                filter(None, ((container.get(one) or {}).get("terminated") for one in ("state", "lastState"))), {}
            )
            if (_epoch(last.get("finishedAt")) or 0.0) >= since:
                ended = f"{_end(last)} at {str(last['finishedAt'])[11:19]} UTC{_said(last)}"
                found.append(f"container {container['name']} of pod {pod['metadata']['name']} {ended}")
        if (unready := _unready(pod)) is not None and not _leaving(pod):
            at = datetime.fromtimestamp(max(unready, 0.0), UTC)
            found.append(f"pod {pod['metadata']['name']} is not ready since {at:%H:%M:%S} UTC")
    return ", ".join(found)


def deadline_of(api: Api, workload: str) -> float:
    """The deadline of a workload, seconds."""
    deployment = api.find(DEPLOYMENT, workload)
    return DEADLINE if deployment is None else _deadline(deployment)


def failed_before(api: Api, deployment: Object, began: float, ended: float) -> bool:
    """Whether an unready Deployment has pods of an earlier attempt, with old messages and a back-off.

    No failed pod may be older than `began`, and no pod older than `ended`, epoch seconds.
    """
    pods = api.list(POD, deployment["spec"]["selector"].get("matchLabels") or {})
    made = [(pod, _epoch(pod["metadata"].get("creationTimestamp")) or began) for pod in pods if not _leaving(pod)]
    return any(at < ended or (at < began and _failed(pod)) for pod, at in made)


@dataclass(frozen=True)
class _Trouble:
    """A problem of a pod; `own` if its own container caused it."""

    words: str
    short: str
    final: bool = False
    own: bool = False


def _trouble(pod: Mapping[str, Any]) -> _Trouble:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    first = [one for one in status.get("initContainerStatuses") or () if not _done(one)]
    each = [
        *(_first(name, one) for one in first),
        *(_of_container(name, one) for one in status.get("containerStatuses") or ()),
    ]
    found = [item for item in each if item is not None]
    if found:
        return next((item for item in found if item.final), found[0])
    scheduled = next((item for item in status.get("conditions") or () if item.get("type") == "PodScheduled"), {})
    if scheduled.get("status") == "False":
        short = str(scheduled.get("reason") or "Unscheduled")
        return _Trouble(f"pod {name} is not scheduled, {short}: {_one_line(scheduled.get('message'))}", short)
    phase = str(status.get("reason") or status.get("phase") or "Pending")
    pulled = ": the node pulls its images, or makes its containers" if phase == "Pending" and scheduled else ""
    return _Trouble(f"pod {name} is {phase}{pulled} {_one_line(status.get('message'))}".strip(), phase)


def _first(pod: str, container: Mapping[str, Any]) -> _Trouble | None:
    """The problem of a container that fetches the package. An unreachable store is retried."""
    found = _of_container(pod, container)
    ended = [(container.get(part) or {}).get("terminated") or {} for part in ("state", "lastState")]
    unreachable = found is not None and any(one.get("exitCode") == _MAY_PASS for one in ended)
    if found is None or not unreachable:
        return found
    hint = f"If the network keeps the pod from it, name the port in {_EGRESS}"
    if re.search(r"answers 40[13]\b", found.words):
        hint = f"Look at the login in {_PULLS}"
    return replace(found, words=f"{found.words}. {hint}", short=_UNFETCHED, final=False, own=False)


def _of_container(pod: str, container: Mapping[str, Any]) -> _Trouble | None:
    """The problem of a container; None if there is none, or if another container has to come first."""
    name, state = f"container {container['name']} of pod {pod}", container.get("state") or {}
    waiting, ended = state.get("waiting"), state.get("terminated")
    last = (container.get("lastState") or {}).get("terminated") or {}
    crashed = last if waiting and waiting.get("reason") == _ENDED else ended
    if crashed is not None:
        times = int(container.get("restartCount", 0)) + 1
        often = "once" if times == 1 else f"{times} times"
        words = f"{name} {_end(crashed)}, {often} by now{_said(crashed)}"
        return _Trouble(words, _ENDED, final=times >= _CRASHES, own=True)
    if waiting:
        reason = str(waiting.get("reason") or "Waiting")
        if reason == "PodInitializing":
            return None
        message = _one_line(waiting.get("message"))
        words = f"{name} waits, {reason}{f': {message}' if message else ''}"
        return _Trouble(words, reason, final=reason in _REFUSED)
    if "running" in state and not container.get("ready") and container.get("started") is not None:
        before = f"; it {_end(last)} before{_said(last)}" if last else ""
        return _Trouble(f"{name} runs and does not pass its health check{before}", _UNREADY, own=True)
    return None


def _failed(pod: Mapping[str, Any]) -> bool:
    """Whether a container of a pod crashed or cannot start."""
    found = _trouble(pod).short
    return found in {_ENDED, _UNFETCHED, "ErrImagePull", *_REFUSED}


def _done(container: Mapping[str, Any]) -> bool:
    return ((container.get("state") or {}).get("terminated") or {}).get("exitCode") == 0


def _of_deployment(said: Mapping[str, Mapping[str, Any]]) -> _Trouble:
    failure = said.get("ReplicaFailure", {})
    if failure.get("status") == "True":
        short = str(failure.get("reason") or "ReplicaFailure")
        return _Trouble(f"it makes no pod, {short}: {_one_line(failure.get('message'))}", short)
    return _Trouble("it has no pod yet", "NoPod")


def _end(ended: Mapping[str, Any]) -> str:
    reason = str(ended.get("reason") or "Error")
    code = ended.get("exitCode")
    return f"ended with exit code {code} ({reason})" if code is not None else f"ended ({reason})"


def _said(ended: Mapping[str, Any]) -> str:
    lines = [line.strip() for line in str(ended.get("message") or "").splitlines() if line.strip()]
    return f"; it said last: {' | '.join(lines[-_LINES:])[-_LONGEST:]}" if lines else ""


def _one_line(text: object) -> str:
    return " ".join(str(text or "").split())[:_LONGEST]


def _leaving(pod: Mapping[str, Any]) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _deadline(deployment: Mapping[str, Any]) -> float:
    return float(deployment["spec"].get("progressDeadlineSeconds") or DEADLINE)


def _unready(pod: Mapping[str, Any]) -> float | None:
    """Since when a pod is not ready, epoch seconds; None if it is ready, or unknown."""
    return _since(_conditions(pod).get("Ready", {}))


def _came_up(pod: Mapping[str, Any]) -> bool:
    """Whether a pod was ever ready. One that never was is not ready since before it was initialized."""
    said, unready = _conditions(pod), _unready(pod)
    initialized = said.get("Initialized", {})
    began = _epoch(initialized.get("lastTransitionTime")) if initialized.get("status") == "True" else None
    lost = unready is not None and began is not None and unready > began
    return lost or said.get("Ready", {}).get("status") == "True"


def _ready(endpoints: Iterable[Mapping[str, Any]]) -> list[str]:
    """The ready pods; one pod counts once, even with addresses of several families."""
    ready = [item for item in endpoints if (item.get("conditions") or {}).get("ready") is not False]
    return [str((item.get("targetRef") or {}).get("uid") or (item.get("addresses") or [""])[0]) for item in ready]


def _conditions(obj: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(item["type"]): item for item in (obj.get("status") or {}).get("conditions") or ()}


def _since(condition: Mapping[str, Any]) -> float | None:
    """Since when a condition is false, epoch seconds; None if it is not, or unknown."""
    return _epoch(condition.get("lastTransitionTime")) if condition.get("status") == "False" else None


def _epoch(text: object) -> float | None:
    return datetime.fromisoformat(str(text)).timestamp() if text else None
