"""A stack as it is now: its cluster, what is live there, and which release is wanted."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, replace
from typing import Any

import pulumi
import pulumi_kubernetes

from infra.config.checkout import recipe_of
from infra.config.kubernetes_settings import BucketSettings, KubernetesSettings
from infra.config.settings import Settings
from infra.kubernetes import checks, kept_bucket
from infra.kubernetes.workloads import shape_of, wanted_release
from infra.plan.releases import Wanted
from infra.plan.restored import restored_package, serving_of_champion, serving_of_wanted
from infra.source import champion_of
from platforms.kubernetes.answers import NotFound
from platforms.kubernetes.api import Api
from platforms.kubernetes.gateway import taking
from platforms.kubernetes.journal import KubernetesJournal
from platforms.kubernetes.kinds import GATEWAY, NAMESPACE, ROLLOUT
from platforms.kubernetes.names import Names
from platforms.kubernetes.oci import OciUnreachable, pinned
from rollout.core.errors import RolloutError
from rollout.core.release import Release
from rollout.core.state import RolloutState, StateError
from services.declaration.alarm_names import answer_alarms

CONTROLLER, SERVING, NEWEST = "controller", "serving", "latest"
"""The repositories of the images below the registry's path, and the tag that is looked for."""


@dataclass(frozen=True)
class ClusterNow:
    """A stack before its program has declared anything.

    Attributes:
        names: The stack's names.
        state: What is live and on trial, by the journal.
        image: The serving image of a new release, by digest.
        controller_image: The controller's, by digest; empty where another stack declares the controller.
        cluster: Speaks with the cluster for Pulumi.
        provider: Makes the package and drives the rollout.
        listeners: Those of a Gateway that is there already which take requests for the route.
        sticky_header: The header by which the trial under way decides which version answers; empty when by none.
        source: The release that is taken from another stack; None when the model is trained here.
        beside: The Rollouts of other stacks in the namespace, which a controller of this stack drives too.
        bucket: The bucket that pods and the controller read.
    """

    names: Names
    state: RolloutState
    image: str
    controller_image: str
    cluster: pulumi.ProviderResource
    provider: pulumi.ProviderResource
    listeners: tuple[str, ...] = ()
    sticky_header: str = ""
    source: dict[str, Any] | None = None
    beside: tuple[str, ...] = ()
    bucket: BucketSettings | None = None

    @property
    def registered(self) -> dict[str, Any] | None:
        """The package of a restored release, which is registered here already; None while none is restored."""
        return restored_package(self.state)

    def wanted(self, settings: Settings) -> Wanted:
        """The release that is restored, or else the one that the config asks for.

        Raises:
            pulumi.RunError: The model has no recipe.
        """
        restored = self.state.restored
        if restored is not None:
            return wanted_release(self.names, restored.recipe, self.image, serving_of_wanted(self.state, settings))
        recipe = self.source["recipe"] if self.source else recipe_of(settings.model.parameters)
        return wanted_release(self.names, recipe, self.image, settings.serving)

    def sticky(self, wanted: Wanted, header: str) -> str:
        """The header that decides which version answers: that of a trial under way goes on deciding until it ends."""
        challenger = self.state.challenger if self.state.on_trial else None
        same = challenger is not None and challenger.id == wanted.id
        return (self.sticky_header if same else "") or header

    def resized(self, settings: Settings) -> Release | None:
        """The champion on the pods that the config asks for, or those that it is restored with; None before one."""
        champion = self.state.champion
        if champion is None:
            return None
        serving = serving_of_champion(self.state, settings)
        shape = shape_of(serving)
        workload = self.names.workload_of(champion.model_name, champion.variant, shape)
        return replace(champion, config_name=workload, instances=serving.pods, serving=shape)

    def answer_alarms(self, variant: str) -> tuple[str, ...]:
        """The alarms on what a variant answers."""
        return answer_alarms(self.names.prefix, variant)

    def agreed(self, settings: Settings, wanted: Wanted) -> int:
        """How many people have approved a release, by its ModelPackage; 0 before it is registered."""
        from platforms.kubernetes.approvals import PackageApprovals  # noqa: PLC0415  most stacks ask nobody

        api = Api.of(settings.kubernetes.context, self.names.namespace)
        return PackageApprovals(api, self.names.prefix, wanted.model_name).count(wanted.id)


@dataclass(frozen=True)
class There:
    """What the cluster says; attributes as of `ClusterNow`, and these.

    Attributes:
        uid: The uid of the namespace.
        unwatched: Why Prometheus cannot watch over a release; empty when it can.
    """

    uid: str
    state: RolloutState
    listeners: tuple[str, ...] = ()
    sticky_header: str = ""
    beside: tuple[str, ...] = ()
    bucket: BucketSettings | None = None
    unwatched: str = ""


async def read_cluster(settings: Settings, stack: str) -> ClusterNow:
    """Ask the cluster what it can do and what is live there, and the registry for the images.

    Raises:
        pulumi.RunError: One of them does not answer, or lacks what a stack needs; nothing was declared.
    """
    provider = pulumi.ProviderResource("pulumi-python", "releases", {})  # its process starts while the cluster is asked
    names = Names(settings.model.name, stack, settings.kubernetes.namespace)
    other = settings.promotion.source
    there = await asyncio.to_thread(_read, settings, names)
    if there.unwatched:
        pulumi.warn(there.unwatched)
    source = await champion_of(other, None) if other and there.state.restored is None else None
    await asyncio.to_thread(_check_bucket, settings.kubernetes.bucket)
    image, controller_image = await asyncio.to_thread(_images, settings, names.stack, there.state, source)
    return ClusterNow(
        names,
        there.state,
        image,
        controller_image,
        _provider(settings.kubernetes, there.uid),
        provider,
        there.listeners,
        there.sticky_header,
        source,
        there.beside,
        there.bucket,
    )


def _provider(settings: KubernetesSettings, uid: str) -> pulumi.ProviderResource:
    """Speaks with the cluster for Pulumi; it is another one only where the namespace is another one.

    The path of a kubeconfig, which the SDK takes from the environment, and the address of the API server differ from
    person to person, and would make all objects anew.
    """
    os.environ.pop("KUBECONFIG", None)  # the plugin has the engine's environment, and finds it there
    return pulumi_kubernetes.Provider(
        "cluster",
        context=settings.context,
        namespace=settings.namespace,
        cluster_identifier=uid,
        enable_config_map_mutable=True,  # those that never change say so themselves
        enable_server_side_apply=True,
    )


def neighbours(api: Api, names: Names) -> tuple[str, ...]:
    """The Rollouts of other stacks in the namespace; none where the cluster does not know the kind yet.

    Raises:
        RolloutError: The API server refuses, or does not answer.
    """
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
        state = KubernetesJournal(api, names.prefix).read() if rollout else RolloutState(names.prefix)
        gateway = api.get(GATEWAY, cluster.gateway.name) if cluster.gateway.name else None
        beside = neighbours(api, names) if cluster.controller else ()
        bucket = kept_bucket.read_bucket(api, cluster, state)
        unwatched = checks.unwatched(api, cluster)
    except (RolloutError, StateError) as error:
        raise pulumi.RunError(f"{where}: what is live there is not known, so nothing was changed: {error}") from None
    listeners = taking(gateway, cluster.gateway.host) if gateway else ()
    sticky = str(rollout["spec"].get("stickyHeader") or "") if rollout else ""
    return There(uid, state, listeners, sticky, beside, bucket, unwatched)


def _check_bucket(bucket: BucketSettings | None) -> None:
    """Refuse a bucket that an update could not write to: it would train first."""
    if bucket is None:
        return
    from platforms.kubernetes import buckets  # noqa: PLC0415 - loads boto3, which stacks without a bucket do not need

    try:
        buckets.check(bucket.model_dump())
    except buckets.BucketError as error:
        raise pulumi.RunError(f"modelstack:kubernetes.bucket: {error}. Nothing was changed") from None


def _images(settings: Settings, stack: str, state: RolloutState, source: dict[str, Any] | None) -> tuple[str, str]:
    """The images of the serving runtime and of the controller; a restored release has that of then."""
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
