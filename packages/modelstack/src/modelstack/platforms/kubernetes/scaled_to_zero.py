"""Scales releases to zero after their rollout, and up again for the next one.

Pulumi deletes a release's Deployment only at the end of a successful update. So every rolled back release would keep
its pods, until a node is full. The journal says what is needed: champion, challenger, and the target of a rollback. The
pods of the last rolled back release stay for an hour, so that their logs can be read, or until the next trial.

If the same release is tried again, its failed pods are replaced: the kubelet restarts a failed container only after up
to five minutes, and its last message is that of the earlier attempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.answers import NotFound
from modelstack.platforms.kubernetes.api import Api, Object
from modelstack.platforms.kubernetes.journal import KubernetesJournal
from modelstack.platforms.kubernetes.kinds import DEPLOYMENT
from modelstack.platforms.kubernetes.serving_config import ServingConfig
from modelstack.platforms.kubernetes.workloads import failed_before
from modelstack.rollout.core.errors import Busy, Conflict
from modelstack.rollout.core.release import variant
from modelstack.rollout.core.state import Phase, RolloutState, StateError

_PART_OF = "app.kubernetes.io/part-of"
_LOOKED_AT = 3600.0  # seconds in which the pods of the last one that was taken back can be looked at
_JUDGED = {"rolled_back", "failed"}
_REPLACED = 300.0  # seconds of a rollout in which pods of an earlier attempt are replaced; a second or two is usual
_ENDS = {"promoted", "rolled_back", "failed", "withdrawn", "superseded"}


def unneeded(state: RolloutState, now: float) -> frozenset[str]:
    """The variants of past rollouts that are not needed now, epoch seconds. Pure."""
    needed = {release.id for release in state.releases()}
    if state.at_rest and state.last is not None and now - state.last.at < _LOOKED_AT:
        needed.add(state.last.release)
    over = {event.release for event in state.history if event.kind in _ENDS} | state.rejected.keys()
    return frozenset(variant(release) for release in over - needed)


def scale_to_zero(api: Api, now: float) -> None:
    """Scale down the unneeded releases of each endpoint of the namespace.

    The journal is read after the Deployments, and a write succeeds only on the Deployment that was read. So none is
    scaled down that a rollout has just brought back.
    """
    run = [item for item in api.list(DEPLOYMENT, {_PART_OF: "modelstack"}) if _variant(item) and _pods(item)]
    for endpoint in sorted({_labels(item)[names.ENDPOINT] for item in run}):
        try:
            state = KubernetesJournal(api, endpoint).read()
        except (NotFound, StateError):
            continue
        idle = unneeded(state, now)
        for item in run:
            if _labels(item)[names.ENDPOINT] == endpoint and _variant(item) in idle:
                with suppress(Conflict, NotFound):
                    api.scale(item, 0, names.MANAGER)


def bring_back(api: Api, endpoint: str, config: ServingConfig, ready: Mapping[str, int], now: float) -> None:
    """Scale up the releases of a config that a rollout needs. Other sizes, set by a person, stay.

    The challenger starts with new pods: failed ones of an earlier attempt are removed first, by scaling to 0. That
    takes a second or two, until the Deployment controller has observed it; then the conditions are new as well.

    Args:
        api: The API server.
        endpoint: The endpoint.
        config: The requested config.
        ready: Workload -> its number of ready endpoints.
        now: Epoch seconds.

    Raises:
        Busy: Pods of an earlier attempt are terminating.
    """
    without = [item.workload for item in config.backends if not ready[item.workload]]
    if not without:
        return
    found = [item for name in without if (item := api.find(DEPLOYMENT, name)) is not None]
    if not found:
        return
    state = KubernetesJournal(api, endpoint).read()
    wanted = {release.config_name: release for release in state.releases()}
    for item in found:
        name = item["metadata"]["name"]
        begins = name == _begun(state) and now - state.started_at < _REPLACED
        if begins and (_leaves(item) if not _pods(item) else _of_earlier(api, item, state)):
            if _pods(item):
                with suppress(Conflict):
                    api.scale(item, 0, names.MANAGER)
            raise Busy(f"pods of {name} that failed before this rollout make room for new ones")
        if name in wanted and not _pods(item):
            with suppress(Conflict):  # whoever wrote it is asked again with the next look
                api.scale(item, int(wanted[name].serving.get("instance_count", 1)), names.MANAGER)


def _begun(state: RolloutState) -> str:
    """The challenger's workload before it has had traffic in this rollout; empty without one."""
    begins = state.challenger is not None and state.phase in {Phase.PREPARING, Phase.MOVING}
    return state.challenger.config_name if begins and state.challenger is not None else ""


def _of_earlier(api: Api, item: Object, state: RolloutState) -> bool:
    """Whether a Deployment without a ready pod has pods of an earlier attempt at this release."""
    tried = state.challenger.id if state.challenger is not None else ""
    mine = [event.at for event in state.history if event.kind in _JUDGED and event.release == tried]
    return failed_before(api, item, state.started_at, max(mine, default=0.0))


def _leaves(item: Object) -> bool:
    """Whether the Deployment controller has not yet observed the scale-down, or pods still exist."""
    status = item.get("status") or {}
    return int(status.get("observedGeneration") or 0) < item["metadata"]["generation"] or bool(status.get("replicas"))


def _labels(item: Object) -> Mapping[str, str]:
    return item["metadata"].get("labels") or {}


def _variant(item: Object) -> str:
    """The variant of a Deployment; empty if it belongs to no endpoint."""
    return _labels(item).get(names.VARIANT, "") if names.ENDPOINT in _labels(item) else ""


def _pods(item: Object) -> int:
    return int(item["spec"].get("replicas", 1))
