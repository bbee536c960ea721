"""The live state of a stack on a cluster."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from functools import partial
from typing import Any

import pulumi
import pulumi_kubernetes

from modelstack.platforms.kubernetes.answers import NotFound
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.gateway import taking
from modelstack.platforms.kubernetes.journal import newest
from modelstack.platforms.kubernetes.kinds import GATEWAY, NAMESPACE, ROLLOUT
from modelstack.platforms.kubernetes.names import Names
from modelstack.platforms.kubernetes.oci import OciUnreachable, pinned
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.program.config.kubernetes_settings import BucketSettings, KubernetesSettings
from modelstack.program.config.serving_settings import ServingSettings
from modelstack.program.config.settings import Settings
from modelstack.program.kubernetes import checks, kept_bucket
from modelstack.program.kubernetes.workloads import shape_of
from modelstack.program.live_state import LiveState, state_and_live
from modelstack.program.plan.releases import DesiredRelease
from modelstack.program.source import champion_of
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.live import Live
from modelstack.rollout.core.state import RolloutState, StateError

CONTROLLER, SERVING, NEWEST = "controller", "serving", "latest"
"""Image repositories below the registry's path, and the tag."""


@dataclass(frozen=True)
class There:
    """The state of the cluster.

    Attributes:
        uid: The uid of the namespace.
        listeners: Listeners of an existing Gateway that accept the route's requests.
        sticky_header: The header that selects the version in the running trial; empty without one.
        beside: Rollouts of other stacks in the namespace, which this stack's controller drives too.
        bucket: The bucket that pods and the controller read.
        live: What the route serves; None without a route.
        gone: Whether the Rollout was deleted, and only the copy of its journal is left.
        unwatched: Why Prometheus cannot monitor a release; empty when it can.
    """

    uid: str
    state: RolloutState
    listeners: tuple[str, ...] = ()
    sticky_header: str = ""
    beside: tuple[str, ...] = ()
    bucket: BucketSettings | None = None
    unwatched: str = ""
    live: Live | None = None
    gone: bool = False


@dataclass(frozen=True, kw_only=True)
class ClusterNow(LiveState):
    """The live state of a stack on a cluster; `controller_image` is empty if another stack declares it."""

    names: Names
    there: There
    controller_image: str
    cluster: pulumi.ProviderResource

    def shape(self, serving: ServingSettings) -> tuple[str, dict[str, Any]]:
        """Pods."""
        return serving.pods, shape_of(serving)

    def sticky(self, wanted: DesiredRelease, header: str) -> str:
        """The header that selects the version; a running trial keeps its own."""
        challenger = self.state.challenger if self.state.on_trial else None
        same = challenger is not None and challenger.id == wanted.id
        return (self.there.sticky_header if same else "") or header

    def agreed(self, settings: Settings, wanted: DesiredRelease) -> int:
        """Approvals in the release's ModelPackage."""
        from modelstack.platforms.kubernetes.approvals import PackageApprovals  # noqa: PLC0415  most stacks ask nobody

        api = Api.of(settings.kubernetes.context, self.names.namespace)
        return PackageApprovals(api, self.names.prefix, wanted.model_name).count(wanted.id)


async def read_cluster(settings: Settings, stack: str) -> ClusterNow:
    """Check the cluster, and read its live state and the images; pulumi.RunError if something is missing."""
    provider = pulumi.ProviderResource("pulumi-python", "releases", {})  # its process starts while the cluster responds
    names = Names(settings.model.name, stack, settings.kubernetes.namespace)
    other = settings.promotion.source
    there = await asyncio.to_thread(_read, settings, names)
    if there.unwatched:
        pulumi.warn(there.unwatched)
    source = await champion_of(other, None) if other and there.state.restored is None else None
    await asyncio.to_thread(_check_bucket, settings.kubernetes.bucket)
    image, controller_image = await asyncio.to_thread(_images, settings, names.stack, there.state, source)
    return ClusterNow(
        names=names,
        state=there.state,
        live=there.live,
        gone=there.gone,
        there=there,
        image=image,
        controller_image=controller_image,
        cluster=_provider(settings.kubernetes, there.uid),
        provider=provider,
        source=source,
    )


def _provider(settings: KubernetesSettings, uid: str) -> pulumi.ProviderResource:
    """Its inputs identify the namespace by uid: kubeconfig path and server address differ between people, and would
    replace all objects.
    """
    os.environ.pop("KUBECONFIG", None)  # the plugin reads it from the engine's environment
    return pulumi_kubernetes.Provider(
        "cluster",
        context=settings.context,
        namespace=settings.namespace,
        cluster_identifier=uid,
        enable_config_map_mutable=True,  # immutable ones say so themselves
        enable_server_side_apply=True,
    )


def neighbours(api: Api, names: Names) -> tuple[str, ...]:
    """The Rollouts of other stacks in the namespace; none if the cluster does not know the kind yet."""
    try:
        found = [item["metadata"]["name"] for item in api.list(ROLLOUT)]
    except NotFound:
        return ()
    return tuple(sorted(name for name in found if name != names.prefix))


def _read(settings: Settings, names: Names) -> There:
    cluster = settings.kubernetes
    where = f"modelstack:kubernetes.context = {cluster.context!r}" if cluster.context else "the current context"
    try:
        api = Api.of(cluster.context, cluster.namespace)
        checks.check_target(names.stack, api)
        lacking = checks.lacking(
            api,
            cluster,
            names,
            sticky=settings.rollout.sticky_header,
            autoscaled=settings.serving.max_instance_count is not None,
            mlflow_secret=settings.mlflow.secret,
        )
        if lacking:
            lines = "\n".join(f"  - {line}" for line in lacking)
            raise pulumi.RunError(f"{where}: the cluster lacks what this stack needs; nothing was changed:\n{lines}")
        uid = str(api.get(NAMESPACE, names.namespace)["metadata"]["uid"])
        rollout = api.find(ROLLOUT, names.prefix)
        state, live = state_and_live(partial(newest, api, names.prefix), partial(_serves, api, names.prefix))
        gateway = api.get(GATEWAY, cluster.gateway.name) if cluster.gateway.name else None
        beside = neighbours(api, names) if cluster.controller else ()
        bucket = kept_bucket.read_bucket(api, cluster, state)
        unwatched = checks.unwatched(api, cluster)
    except (RolloutError, StateError) as error:
        raise pulumi.RunError(f"{where}: what is live there is not known, so nothing was changed: {error}") from None
    listeners = taking(gateway, cluster.gateway.host) if gateway else ()
    sticky = str(rollout["spec"].get("stickyHeader") or "") if rollout else ""
    return There(
        uid, state, listeners, sticky, beside, bucket, unwatched, live, gone=rollout is None and state.revision > 0
    )


def _serves(api: Api, endpoint: str) -> Live | None:
    try:
        return RouteTraffic(api, endpoint).read()
    except NotFound:
        return None


def _check_bucket(bucket: BucketSettings | None) -> None:
    """Check write access before an update trains a model."""
    if bucket is None:
        return
    from modelstack.platforms.kubernetes import buckets  # noqa: PLC0415 - loads boto3, which stacks without a bucket do not need

    try:
        buckets.check(bucket.model_dump())
    except buckets.BucketError as error:
        raise pulumi.RunError(f"modelstack:kubernetes.bucket: {error}. Nothing was changed") from None


def _images(settings: Settings, stack: str, state: RolloutState, source: dict[str, Any] | None) -> tuple[str, str]:
    cluster, restored = settings.kubernetes, state.restored
    taken = source["image_uri"] if source and source["platform"] == "kubernetes" else None
    serving = settings.serving.image or taken or f"{cluster.registry}/{SERVING}:{NEWEST}"
    controller = cluster.controller_image or f"{cluster.registry}/{CONTROLLER}:{NEWEST}"
    return (
        restored.image_uri if restored else _by_digest(serving, "serving.image", stack),
        _by_digest(controller, "kubernetes.controller_image", stack) if cluster.controller else "",
    )


def _by_digest(image: str, field: str, stack: str) -> str:
    try:
        return pinned(image)
    except OciUnreachable as error:
        raise pulumi.RunError(f"modelstack:kubernetes.registry: {error}, so nothing was changed") from None
    except RolloutError as error:
        raise pulumi.RunError(
            f"modelstack:{field}: {error}, so nothing was changed. This makes the images and pushes them: "
            f"make image STACK={stack}"
        ) from None
