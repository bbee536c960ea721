"""What only AWS has of a package registry: objects next to an archive, the version in SageMaker, and what is gone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, IncompleteReadError

from modelstack.pipeline import archive
from modelstack.pipeline.pack import Registered, SealedPackage
from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.aws.identity import caller
from modelstack.platforms.aws.package_registry import origin
from modelstack.platforms.aws.package_store import AwsPackageStore
from modelstack.platforms.aws.packages import member
from modelstack.platforms.aws.versions import GroupVersions
from modelstack.platforms.s3 import package_store
from modelstack.platforms.s3.package_store import upload
from modelstack.records.provenance.evidence import BOM, CARD, FACTS, MODEL, PROVENANCE, SAGEMAKER_CARD
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.rollout.core.release import Release
from modelstack.services.package_registry import PackageRegistry, ReleaseRecord, copy, publish, take, verify_past
from modelstack.services.sealed_packages import (
    METRICS,
    REFERENCE,
    Gone,
    RegistryError,
    Unsigned,
    folder_of,
    member_uri,
)
from tests.platforms.aws.either import EITHER, IMAGE, clients_of, new_registry
from tests.platforms.aws.sealing import put
from tests.rollout.worlds import release as make_release

MEMBERS = {
    *("answer.json", "baseline.json", "example.json", "features.json", "manifest.json", "metrics.json"),
    "reference.json",
}
"""What is next to an archive: all that is read of a package, and neither its weights nor its code."""
EVIDENCE = {FACTS, BOM, CARD, SAGEMAKER_CARD, MODEL, PROVENANCE}


class Sends:
    """An S3 whose one object is the given blocks; an error among them ends it."""

    exceptions = SimpleNamespace(ClientError=ClientError)

    def __init__(self, *blocks: bytes | Exception) -> None:
        self.blocks = blocks

    def get_object(self, **_: str) -> dict[str, Any]:
        return {"Body": self}

    def iter_chunks(self, _: int) -> Iterator[bytes]:
        for block in self.blocks:
            if isinstance(block, Exception):
                raise block
            yield block


@pytest.mark.parametrize(
    ("s3", "error", "why"),
    [
        (Sends(b"12345678", b"12345678"), RegistryError, "s3://b/k has more than 10 bytes: nothing in it was read"),
        (Sends(b"1234", IncompleteReadError(actual_bytes=4, expected_bytes=8)), IncompleteReadError, "4 read"),
    ],
    ids=["an archive without an end", "an archive that is cut off"],
)
def test_an_archive_that_does_not_come_whole_leaves_nothing_behind(
    s3: Sends, error: type[Exception], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelstack.services.package_store.MAX_BYTES", 10)
    with pytest.raises(error, match=why):
        package_store.BucketPackageStore("b", s3).fetch("s3://b/k", f"sha256:{'0' * 64}", tmp_path / "model.tar.gz")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(params=EITHER)
def clients(request: pytest.FixtureRequest) -> Clients:
    return clients_of(request)


@pytest.fixture
def here(clients: Clients) -> PackageRegistry:
    """A stack's registry."""
    return new_registry(clients)


def group_of(registry: PackageRegistry) -> GroupVersions:
    assert isinstance(registry.versions, GroupVersions)
    return registry.versions


def described(registry: PackageRegistry, package: Registered) -> dict[str, Any]:
    return group_of(registry).clients("sagemaker").describe_model_package(ModelPackageName=package.model_package_arn)


def record_of(package: Registered, registry: PackageRegistry) -> ReleaseRecord:
    key = registry.signer.public_key
    return ReleaseRecord(package.archive_uri, package.package_digest, package.model_package_arn, key)


def stored(clients: Clients, uri: str) -> bytes:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return clients("s3").get_object(Bucket=bucket, Key=key)["Body"].read()


def objects_of(clients: Clients, registry: PackageRegistry) -> dict[str, str]:
    """Name -> URI of every object in the bucket of a registry."""
    bucket = group_of(registry).group
    listed = clients("s3").list_objects_v2(Bucket=bucket).get("Contents", [])
    return {item["Key"].rpartition("/")[2]: f"s3://{bucket}/{item['Key']}" for item in listed}


def release_of(published: Registered) -> Release:
    """The release of a registered package, as the journal stores it."""
    facts = ("recipe", "package_digest", "archive_uri", "manifest_sha256")
    known = {name: getattr(published, name) for name in facts}
    return replace(make_release("a"), version=published.model_package_arn, **known)


class Counting:
    """Gives S3, and notes the object that each GET asks for."""

    def __init__(self, s3: Any) -> None:
        self.s3, self.keys = s3, list[str]()

    def __call__(self, service: str) -> Any:
        assert service == "s3"
        return self

    def get_object(self, **asked: str) -> Any:
        self.keys.append(asked["Key"].rpartition("/")[2])
        return self.s3.get_object(**asked)


def test_the_version_says_what_serves_it_and_what_was_measured(
    sealed: SealedPackage, clients: Clients, here: PackageRegistry
) -> None:
    published = publish(sealed, here)
    found = objects_of(clients, here)
    assert published.archive_uri == f"s3://{group_of(here).group}/{folder_of(sealed.digest)}/model.tar.gz"
    for name, content in archive.documents(sealed.path).items():
        assert stored(clients, found[name]) == content
    package = described(here, published)
    (container,) = package["InferenceSpecification"]["Containers"]
    assert (container["Image"], container["ModelDataUrl"]) == (IMAGE, published.archive_uri)
    assert container["Environment"] == {"MODELSTACK_MANIFEST_SHA256": sealed.manifest_sha256}
    assert package["CustomerMetadataProperties"]["registered_by"] == caller(clients)
    measured = {name: item["Statistics"]["S3Uri"] for name, item in package["ModelMetrics"].items()}
    assert json.loads(stored(clients, measured["ModelQuality"]))["summary"] == dict(sealed.metrics)
    assert stored(clients, measured["ModelDataQuality"]) == archive.read(sealed.path, REFERENCE)


@pytest.mark.parametrize("clients", [pytest.param("local cloud", marks=pytest.mark.e2e)], indirect=True)
def test_a_version_has_the_model_card_that_was_signed_on_each_stack(
    sealed: SealedPackage, clients: Clients, here: PackageRegistry
) -> None:
    other = new_registry(clients)
    published = publish(sealed, here)
    copied = copy(record_of(published, here), origin(clients), other)
    cards = [described(one, made)["ModelCard"] for one, made in ((here, published), (other, copied))]
    signed = here.store.evidence(published.archive_uri, here.signer.public_key).documents[SAGEMAKER_CARD]
    assert cards == [{"ModelCardContent": signed.decode(), "ModelCardStatus": "Draft"}] * 2


def test_every_member_is_read_without_the_archive(
    sealed: SealedPackage, clients: Clients, here: PackageRegistry
) -> None:
    target = new_registry(clients)
    first = publish(sealed, here)
    promoted = copy(record_of(first, here), origin(clients), target)
    taken = take(record_of(promoted, target), sealed.recipe, target)
    for published in (first, promoted, taken):
        for name in sorted(MEMBERS - {"manifest.json"}):
            s3 = Counting(clients("s3"))
            assert member(s3, release_of(published), name) == archive.read(sealed.path, name)
            assert s3.keys == ["manifest.json", name]
    s3 = Counting(clients("s3"))
    assert member(s3, release_of(first), "other.json") is None
    assert s3.keys == ["manifest.json"]


@pytest.mark.parametrize("name", [METRICS, "model.tar.gz"])
def test_other_bytes_are_neither_taken_nor_overwritten(
    sealed: SealedPackage, clients: Clients, here: PackageRegistry, name: str
) -> None:
    uri = member_uri(here.store.uri(sealed.digest), name)
    put(clients("s3"), uri, b"other")
    other = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(RegistryError, match=f"{name} is there with digest sha256:{other}, expected sha256:"):
        publish(sealed, here)
    assert stored(clients, uri) == b"other"
    assert list(here.versions.list()) == []


def test_the_archive_is_sent_after_everything_next_to_it(
    sealed: SealedPackage, here: PackageRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(package_store, "upload", lambda *given: sent.append(given[2]) or upload(*given))
    publish(sealed, here)
    assert {key.rpartition("/")[2] for key in sent[:-1]} == MEMBERS | EVIDENCE
    assert sent[-1].endswith("/model.tar.gz")


# What a past release needs

PROCESS = "123456789012.dkr.ecr.us-east-1.amazonaws.com/serving:process"
RULE = {
    "ID": "versions",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "NoncurrentVersionExpiration": {"NoncurrentDays": 90},
}
TYPE = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def looked_at(sealed: SealedPackage, clients: Clients, here: PackageRegistry) -> Callable[..., str]:
    """Looks at a package that was published into a bucket with versions."""
    s3, bucket = clients("s3"), group_of(here).group
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [RULE]})
    publish(sealed, here)
    store = AwsPackageStore.of(bucket, clients)

    def look(image: str = PROCESS, key: bytes = here.signer.public_key) -> str:
        return verify_past(store, [store.uri(sealed.digest)], sealed.digest, image, key)

    return look


@pytest.mark.parametrize("clients", ["moto"], indirect=True)
def test_an_archive_that_was_deleted_is_reported_with_the_rule_until_when_and_how_it_is_restored(
    sealed: SealedPackage, clients: Clients, here: PackageRegistry, looked_at: Callable[..., str]
) -> None:
    uri = here.store.uri(sealed.digest)
    assert looked_at() == uri
    s3, bucket, key = clients("s3"), group_of(here).group, uri.split("/", 3)[3]
    s3.delete_object(Bucket=bucket, Key=key)
    with pytest.raises(Gone, match=r"was deleted on \S+; rule `versions` .*versions_days: 90\) keeps it until") as told:
        looked_at()
    command = str(told.value).rpartition("brings it back: ")[2].split()
    assert command[:3] == ["aws", "s3api", "delete-object"]
    given = dict(zip(command[3::2], command[4::2], strict=True))
    s3.delete_object(Bucket=given["--bucket"], Key=given["--key"], VersionId=given["--version-id"])
    assert looked_at() == uri, "as the message says"
    for one in s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]:
        s3.delete_object(Bucket=bucket, Key=key, VersionId=one["VersionId"])
    with pytest.raises(Gone, match=r"is gone. No rule lets a package expire .* keeps what was deleted for 90 days"):
        looked_at()


@pytest.mark.parametrize("clients", ["moto"], indirect=True)
def test_an_archive_of_other_bytes_or_another_key_or_without_its_image_is_refused(
    sealed: SealedPackage, clients: Clients, here: PackageRegistry, looked_at: Callable[..., str]
) -> None:
    with pytest.raises(Unsigned):
        looked_at(key=KeyPair.new().public_key)
    ecr = clients("ecr")
    ecr.create_repository(repositoryName="serving")
    pushed = ecr.put_image(
        repositoryName="serving", imageManifest='{"schemaVersion": 2}', imageManifestMediaType=TYPE, imageTag="1"
    )["image"]
    assert looked_at(PROCESS.replace(":process", ":1"))
    assert looked_at(PROCESS.replace(":process", f"@{pushed['imageId']['imageDigest']}"))
    other = hashlib.sha256(b"").hexdigest()
    with pytest.raises(Gone, match=r"the serving image .* is gone"):
        looked_at(PROCESS.replace(":process", f"@sha256:{other}"))
    assert looked_at("public.ecr.aws/somebody/else:1"), "is not looked for"
    put(clients("s3"), here.store.uri(sealed.digest), b"other bytes")
    with pytest.raises(RegistryError, match="was changed after it was registered"):
        looked_at()
