"""Pods that nobody needs: those of a release whose rollout is over, until a rollout wants it again.

    scale_to_zero(api, now)                        # each minute
    bring_back(api, endpoint, config, ready, now)  # when a config is asked for

Pulumi deletes what a release was served by only at the end of an update that succeeds. So each release that is taken
back would keep its pods, and after some of them a node is full. Only the journal says what is needed: what serves, what
is tried, and what a rollback would bring back. Of the last one that was taken back the pods stay for an hour, so that
somebody can read their logs, or until the next release is tried, which may need the room.

If that is the same one, pods of it that do not come up are replaced: the kubelet starts a container that failed again
only after up to five minutes, whatever was mended meanwhile, and what it said last is the earlier attempt's.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from platforms.kubernetes import names
from platforms.kubernetes.answers import NotFound
from platforms.kubernetes.api import Api, Object
from platforms.kubernetes.journal import KubernetesJournal
from platforms.kubernetes.kinds import DEPLOYMENT
from platforms.kubernetes.serving_config import ServingConfig
from platforms.kubernetes.workloads import failed_before
from rollout.core.errors import Busy, Conflict
from rollout.core.release import variant
from rollout.core.state import Phase, RolloutState, StateError

_PART_OF = "app.kubernetes.io/part-of"
_LOOKED_AT = 3600.0  # seconds in which the pods of the last one that was taken back can be looked at
_JUDGED = {"rolled_back", "failed"}
_REPLACED = 300.0  # seconds of a rollout in which pods of an earlier attempt are replaced; a second or two is usual
_ENDS = {"promoted", "rolled_back", "failed", "withdrawn", "superseded"}


def unneeded(state: RolloutState, now: float) -> frozenset[str]:
    """The variants of an endpoint that had a rollout, and that nothing needs now. Pure.

    Args:
        state: The journal.
        now: Epoch seconds.
    """
    needed = {release.id for release in state.releases()}
    if state.at_rest and state.last is not None and now - state.last.at < _LOOKED_AT:
        needed.add(state.last.release)
    over = {event.release for event in state.history if event.kind in _ENDS} | state.rejected.keys()
    return frozenset(variant(release) for release in over - needed)


def scale_to_zero(api: Api, now: float) -> None:
    """End the pods that nobody needs, of each endpoint of the namespace.

    The journal is read after the Deployments, and a write lands only on the Deployment that was read. So none is ended
    that a rollout brought back meanwhile.
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
    """Let the releases of a config that a rollout wants have their pods again. What a person scaled otherwise stays so.

    The one on trial begins with new pods: those of an earlier attempt that do not come up go first. That takes a second
    or two, as the Deployments' controller must see the Deployment without pods; then its conditions are new as well.

    Args:
        api: The API server.
        endpoint: Whose config it is.
        config: What is asked for.
        ready: Workload -> its ready endpoints.
        now: Epoch seconds.

    Raises:
        Busy: Pods of an earlier attempt are going.
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
    """The workload of a release whose rollout has begun, and that never had traffic in it; empty without one."""
    begins = state.challenger is not None and state.phase in {Phase.PREPARING, Phase.MOVING}
    return state.challenger.config_name if begins and state.challenger is not None else ""


def _of_earlier(api: Api, item: Object, state: RolloutState) -> bool:
    """Whether a Deployment without a ready pod has some of an earlier attempt at the release on trial."""
    tried = state.challenger.id if state.challenger is not None else ""
    mine = [event.at for event in state.history if event.kind in _JUDGED and event.release == tried]
    return failed_before(api, item, state.started_at, max(mine, default=0.0))


def _leaves(item: Object) -> bool:
    """Whether the Deployments' controller has not yet seen that a Deployment is to have no pods, or they are there."""
    status = item.get("status") or {}
    return int(status.get("observedGeneration") or 0) < item["metadata"]["generation"] or bool(status.get("replicas"))


def _labels(item: Object) -> Mapping[str, str]:
    return item["metadata"].get("labels") or {}


def _variant(item: Object) -> str:
    """Which variant a Deployment serves; empty for one that serves none of an endpoint."""
    return _labels(item).get(names.VARIANT, "") if names.ENDPOINT in _labels(item) else ""


def _pods(item: Object) -> int:
    """How many pods it is to have."""
    return int(item["spec"].get("replicas", 1))
