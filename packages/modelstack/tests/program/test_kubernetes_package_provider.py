"""The package's provider on Kubernetes: what makes it work, what it refuses, and what it never deletes."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pulumi.runtime import rpc

import modelstack.pipeline.build
import modelstack.pipeline.recipe
import modelstack.services.package_registry
from modelstack.pipeline.pack import Registered
from modelstack.pipeline.recipe import Recipe
from modelstack.platforms.aws import package_registry as aws_registry
from modelstack.platforms.kubernetes import access_token
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.kinds import PACKAGE, SECRET
from modelstack.platforms.kubernetes.names import labels_of
from modelstack.platforms.kubernetes.package_store import ClusterPackageStore
from modelstack.platforms.kubernetes.signing import key_pair
from modelstack.program.providers.kubernetes_package import KubernetesPackageProvider
from modelstack.records.provenance.envelope import SignatureError, enclose, opened
from modelstack.rollout.core.errors import Unreachable
from modelstack.services.package_registry import Origin, PackageRegistry, ReleaseRecord
from tests.platforms.kubernetes.fake_api import FakeApi

DIGEST = "sha256:" + "d" * 64
URI = f"oci://127.0.0.1:5000/models@{DIGEST}"
NAME = "flight-delay-prod-3f0c1a2b4d5e"
REGISTERED = Registered(f"models/{NAME}", URI, DIGEST, "m", "r", "image", {"auc": 0.7})
INPUTS: dict[str, Any] = {
    "recipe": "r",
    "parameters": {"max_iter": 60.0},
    "gates": {},
    "context": "prod",
    "namespace": "models",
    "registry": "127.0.0.1:5000/models",
    "prefix": "flight-delay-prod",
    "audit_secret": "flight-delay-prod-audit",
    "name": NAME,
    "image_uri": "image",
    "source": None,
    "urn": "urn",
}
ON_AWS = {
    "platform": "aws",
    "archive_uri": "s3://b/k",
    "package_digest": DIGEST,
    "model_package_arn": "arn:o",
    "region": "us-east-1",
}
ON_AWS["signed_by"] = "PEM"
IN_CLUSTER = {
    **ON_AWS,
    "platform": "kubernetes",
    "archive_uri": URI,
    "model_package_arn": "others/x",
    "context": "other",
}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    made = cast(Api, FakeApi())
    monkeypatch.setattr(Api, "of", lambda context=None, namespace=None: made)
    return made


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch, api: Api) -> list[tuple[Any, ...]]:
    """Calls of the registry with their arguments."""
    calls: list[tuple[Any, ...]] = []

    def noted(name: str) -> Any:
        return lambda *given: calls.append((name, *given)) or REGISTERED

    def released(*_: Any, here: Any, **__: Any) -> Registered:
        return noted("release")(here["sign"].args[0])

    for name in ("copy", "take"):
        monkeypatch.setattr(modelstack.services.package_registry, name, noted(name))
    monkeypatch.setattr(modelstack.pipeline.build, "release", released)
    monkeypatch.setattr(modelstack.pipeline.recipe, "recipe", lambda root, parameters: Recipe("r", {}))
    return calls


def create(**changes: Any) -> dict[str, Any]:
    return KubernetesPackageProvider().create({**INPUTS, **changes}).outs or {}


def test_a_package_is_built_and_registered_with_the_stacks_own_key(done: list[tuple[Any, ...]], api: Api) -> None:
    outs = create()
    assert (outs["archive_uri"], outs["model_package"], outs["refused"]) == (URI, f"models/{NAME}", "")
    assert (outs["package_digest"], outs["metrics"]) == (DIGEST, {"auc": 0.7})
    ((_, place),) = done
    assert isinstance(place, PackageRegistry)
    assert (place.image, place.store) == ("image", ClusterPackageStore("127.0.0.1:5000/models"))
    assert place.store.uri(DIGEST) == f"oci://127.0.0.1:5000/models/packages@{DIGEST}"
    assert outs["signed_by"] == place.signer.public_key.decode()
    audit = key_pair(api, "flight-delay-prod-audit")
    assert outs["audit_key"] == audit.public_key.decode()
    with pytest.raises(SignatureError, match="not by the key"):  # what the controller signs is no package's statement
        opened(enclose(b"{}", audit), place.signer.public_key)
    for name in ("flight-delay-prod-signing", "flight-delay-prod-audit", "flight-delay-prod-token"):
        assert api.get(SECRET, name)["metadata"]["labels"] == labels_of("flight-delay-prod")
    token = access_token.read(api, "flight-delay-prod")
    assert len(token) == 64
    assert create()["signed_by"] == outs["signed_by"]
    assert access_token.read(api, "flight-delay-prod") == token


def test_a_champion_is_taken_from_aws_and_from_another_cluster(
    done: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_registry, "clients_of", lambda region, role=None: lambda service: (region, role, service))
    create(source=ON_AWS)
    create(source=IN_CLUSTER)
    (_, first, from_aws, *_), (_, second, from_cluster, *_) = done
    assert first == ReleaseRecord("s3://b/k", DIGEST, "arn:o", b"PEM")
    assert second.archive_uri == URI
    assert isinstance(from_aws, Origin) and isinstance(from_cluster, Origin)
    assert cast(Any, from_aws.store).s3 == ("us-east-1", None, "s3")
    assert from_cluster.store == ClusterPackageStore("")


def test_packages_go_to_a_bucket_and_are_taken_from_one(done: list[tuple[Any, ...]]) -> None:
    bucket = {"name": "packages", "endpoint": "http://minio.storage:9000", "region": "eu-west-1", "secret": None}
    create(bucket=bucket)
    create(source={**IN_CLUSTER, "archive_uri": "s3://packages/k", "bucket": bucket})
    (_, place), (_, _, taken, *_) = done
    assert (place.store.bucket, taken.store.bucket) == (bucket, bucket)
    assert place.store.uri(DIGEST).startswith("s3://packages/packages/")


def test_an_api_server_that_is_away_is_an_outcome_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> Api:
        raise Unreachable("the API server does not answer")

    monkeypatch.setattr(Api, "of", away)
    assert create()["refused"] == "the API server does not answer"
    with pytest.raises(RuntimeError, match="does not answer"):
        KubernetesPackageProvider().read("id", {**INPUTS, "model_package": f"models/{NAME}"})


MADE = {**INPUTS, "package_digest": DIGEST, "model_package": f"models/{NAME}", "refused": ""}


@pytest.mark.parametrize(
    ("news", "changes", "replaces"),
    [
        ({}, False, []),
        ({"registry": "other/models"}, True, []),
        ({"audit_secret": "another"}, True, []),
        ({"context": "another name of the same cluster"}, True, []),
        ({"namespace": "others"}, True, ["namespace"]),
        ({"namespace": rpc.UNKNOWN}, False, []),
    ],
)
def test_a_package_is_registered_again_in_another_registry_and_replaced_in_another_namespace(
    news: dict[str, Any], changes: bool, replaces: list[str]
) -> None:
    result = KubernetesPackageProvider().diff("id", MADE, {**INPUTS, **news})
    assert (result.changes, result.replaces) == (changes, replaces)


def test_a_refresh_notices_that_somebody_deleted_it_and_destroy_leaves_no_version(api: Api) -> None:
    provider, theirs = KubernetesPackageProvider(), {"metadata": {"name": "theirs"}, "spec": {}}
    api.create(PACKAGE, {"metadata": {"name": NAME, "labels": labels_of("flight-delay-prod")}, "spec": {}})
    api.create(PACKAGE, theirs)
    assert provider.read("id", MADE).id == "id"
    provider.delete("id", {**MADE, "retain": True})
    assert api.find(PACKAGE, NAME)
    provider.delete("id", MADE)
    assert [one["metadata"]["name"] for one in api.list(PACKAGE)] == ["theirs"]
    assert provider.read("id", MADE).id is None
