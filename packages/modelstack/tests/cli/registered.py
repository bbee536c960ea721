"""A stack on a cluster in memory, which serves a package that it has registered and signed in a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from modelstack.cli.lineage import read as reading
from modelstack.cli.platform.kubernetes.platform import Kubernetes
from modelstack.cli.target import Target
from modelstack.pipeline.pack import Registered, SealedPackage
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.journal import copied_journal
from modelstack.platforms.kubernetes.kinds import ROLLOUT
from modelstack.platforms.kubernetes.package_store import ClusterPackageStore
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.platforms.kubernetes.versions import ModelPackages
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.rollout.core.deployments import Deployment
from modelstack.rollout.core.release import Release, release_id
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.services.package_registry import PackageRegistry, publish
from tests.platforms.kubernetes.fake_api import FakeApi
from tests.rollout.worlds import release as make_release

NAME = "flight-delay-prod"


class ClusterApi(FakeApi):
    def __init__(self) -> None:
        super().__init__()
        self.who = "ada@example.org"

    def user(self) -> str:
        return self.who


@dataclass(frozen=True)
class Stack:
    """A stack that serves a package which it has registered and signed."""

    api: ClusterApi
    target: Target
    package: Registered
    image: str

    @property
    def id(self) -> str:
        return release_id(self.package.recipe, self.image)

    @property
    def deployment(self) -> Deployment:
        facts = {"release": self.id, "recipe": self.package.recipe, "package": self.package.package_digest}
        return cast(Deployment, type("Deployment", (), {**facts, "image": self.image})())

    def told(self, **outputs: Any) -> Target:
        return replace(self.target, outputs={**self.target.outputs, **outputs})


def stack_of(
    sealed: SealedPackage,
    registry: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    image: str,
    bucket: Mapping[str, Any] | None = None,
) -> Stack:
    """Register a package where a stack of this registry and bucket puts it, and let the stack serve it."""
    api, key = ClusterApi(), KeyPair.new()
    there, store = cast(Api, api), ClusterPackageStore(registry, bucket)
    package = publish(sealed, PackageRegistry(store, ModelPackages(there, NAME, f"{NAME}-1"), image, key))
    spec = RolloutSpec("prod", "flight-delay", "gate", "http://prometheus.monitoring:9090")
    api.apply(ROLLOUT, {"metadata": {"name": NAME}, "spec": spec.as_dict()}, "tests")
    facts = ("recipe", "package_digest", "archive_uri", "manifest_sha256")
    champion: Release = replace(
        make_release("a"),
        id=release_id(package.recipe, image),
        image_uri=image,
        version=package.model_package_arn,
        **{name: getattr(package, name) for name in facts},
    )
    copied_journal(there, NAME).write(RolloutState(NAME, champion=champion, phase=Phase.IDLE))
    outputs = {
        "platform": "kubernetes", "endpoint_name": NAME, "namespace": "models", "registry": registry, "bucket": bucket,
        "signing_key": key.public_key.decode(), "champion": package.package_digest,
    }  # fmt: skip
    monkeypatch.setattr(Kubernetes, "api", lambda _: there)
    monkeypatch.setattr(Kubernetes, "records", lambda _: [])
    monkeypatch.setattr(reading, "siblings", lambda _: [])
    return Stack(api, Target("prod", NAME, "", outputs), package, image)
