"""Runs the program of a stack on a cluster without an engine or a cluster, and records what it declares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from unittest import mock

from infra import __main__ as program
from modelstack.platforms.kubernetes import buckets
from modelstack.platforms.kubernetes.names import CONTENT, Names
from modelstack.platforms.kubernetes.serving_config import ServingConfig
from modelstack.program import declaration, live_state
from modelstack.program.config.kubernetes_settings import BucketSettings
from modelstack.program.config.serving_settings import ServingSettings
from modelstack.program.config.settings import Settings
from modelstack.program.kubernetes import cluster_now
from modelstack.program.kubernetes.workloads import shape_of
from modelstack.program.plan.releases import wanted_release
from modelstack.rollout.core.live import Live
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from tests.program.recorded import DIGEST, RECIPE, SIGNED_BY, Answers, World, run_to_its_end

STACK = "local-kubernetes"
IMAGE = f"10.99.0.1:5000/modelstack/serving@sha256:{'f' * 64}"
CONTROLLER_IMAGE = f"10.99.0.1:5000/modelstack/controller@sha256:{'c' * 64}"
NAMES = Names("flight-delay", STACK, "models")
FACTS = {
    "package_digest": DIGEST,
    "archive_uri": f"oci://10.99.0.1:5000/modelstack/packages@{DIGEST}",
    "manifest_sha256": "e" * 64,
    "model_package": "models/flight-delay-local-kubernetes-1",
    "metrics": {"auc": 0.7},
    "refused": "",
}
SERVING = ServingSettings(cpu="100m", memory="384Mi")


class OnCluster(Answers):
    def of(self, kind: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
        if kind.endswith("modelstack:Package"):
            return {
                "signed_by": SIGNED_BY,
                "audit_key": "AUDIT",
                **({"refused": self.refused} if self.refused else FACTS),
            }
        if kind.endswith("modelstack:Rollout"):
            return super().of(kind, name, inputs)
        return {}


def release(recipe: str = RECIPE, **changes: Any) -> Release:
    """The release of a recipe, with the program's names."""
    facts = {key: value for key, value in FACTS.items() if key not in {"metrics", "refused", "model_package"}}
    wanted = wanted_release(NAMES, recipe, IMAGE, (SERVING.pods, shape_of(SERVING)))
    known = {**facts, **wanted.names, "image_uri": IMAGE, "model_package_arn": FACTS["model_package"]}
    return Release.from_dict({**known, **changes})


OLD = release("1" * 64, package_digest=f"sha256:{'1' * 64}", manifest_sha256="9" * 64)
NEW = release()
"""A release that served before, and the one that the checkout and the config ask for."""


def idle(champion: Release, **changes: Any) -> RolloutState:
    return replace(RolloutState(NAMES.prefix, champion=champion, phase=Phase.IDLE), **changes)


def manifests(world: World) -> dict[tuple[str, str], dict[str, Any]]:
    """The declared Kubernetes objects, by kind and name."""
    found = [item.inputs for item in world.resources if item.type.startswith("kubernetes:")]
    return {(item["kind"], item["metadata"]["name"]): item for item in found}


def pods(world: World) -> list[dict[str, Any]]:
    """The pods of the declared Deployments."""
    return [item["spec"]["template"]["spec"] for (kind, _), item in manifests(world).items() if kind == "Deployment"]


def configs(world: World) -> dict[str, ServingConfig]:
    found = [
        item for (kind, _), item in manifests(world).items() if kind == "ConfigMap" and CONTENT in item.get("data", {})
    ]
    return {item["metadata"]["name"]: ServingConfig.from_json(item["data"][CONTENT]) for item in found}


def _pinned(image: str) -> str:
    if image.endswith("/serving:latest"):
        return IMAGE
    return CONTROLLER_IMAGE if image.endswith("/controller:latest") else image


def run_on_cluster(
    *,
    answers: Answers | None = None,
    state: RolloutState | None = None,
    recipe: str = RECIPE,
    listeners: tuple[str, ...] = (),
    sticky: str = "",
    live: Live | None = None,
    agreed: int = 5,
    beside: tuple[str, ...] = (),
    bucket: BucketSettings | None = None,
    bucket_is_not_there: str = "",
    main: Callable[[], Awaitable[None]] = program.main,
    **sections: Any,
) -> World:
    """Run the program of stack `local-kubernetes` to its end.

    Args:
        answers: The providers' answers.
        state: The journal; None is an empty one.
        recipe: The recipe digest of the checkout.
        listeners: The listeners of an existing Gateway.
        sticky: The header of the running trial.
        live: What the route serves; None without one.
        agreed: The number of approvals of the desired release.
        beside: The Rollouts of other stacks in the namespace.
        bucket: The bucket of live packages, where the config names none.
        bucket_is_not_there: The error of any bucket, after its name; empty for none.
        main: The program.
        sections: Changes of the config, by section.
    """
    world = World(answers or OnCluster())

    def read(asked: Settings, names: Names) -> cluster_now.There:
        known = state or RolloutState(names.prefix)
        reads = asked.kubernetes.bucket or bucket
        return cluster_now.There("the namespace's", known, listeners, sticky, beside, reads, live=live)

    def check(asked: Mapping[str, Any]) -> None:
        if bucket_is_not_there:
            raise buckets.BucketError(f"{asked['name']} at {asked['endpoint']} {bucket_is_not_there}")

    with (
        mock.patch.object(cluster_now, "_read", read),
        mock.patch.object(cluster_now, "pinned", _pinned),
        mock.patch.object(buckets, "check", check),
        mock.patch.object(live_state, "recipe_of", lambda _: recipe),
        mock.patch.object(cluster_now.ClusterNow, "agreed", lambda now, settings, wanted: agreed),
        mock.patch.object(declaration, "check_model", lambda: None),
    ):
        run_to_its_end(world, STACK, sections, main=main)
    return world
