"""Packages in a real registry of images: same bytes in, same bytes out, or nothing; and from AWS and back."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

import platforms.aws.registry
from pipeline import archive, origin
from pipeline.gate import GateRefused
from pipeline.pack import Registered, SealedPackage
from platforms import registering
from platforms.aws.clients import Clients
from platforms.kubernetes import artifacts, publish
from platforms.kubernetes.answers import Exists
from platforms.kubernetes.api import Api
from platforms.kubernetes.kinds import PACKAGE
from platforms.kubernetes.oci import MANIFEST_TYPE, OciError, Registry
from platforms.kubernetes.oci_referrers import refer
from platforms.kubernetes.packages import REFERENCE, member
from platforms.kubernetes.publish import RegistryStore
from platforms.registering import Place, ReleaseRecord
from platforms.sealed_packages import RegistryError, Unsigned
from provenance.envelope import SignatureError
from provenance.evidence import MODEL, PROVENANCE, sign
from provenance.key_pair import KeyPair
from rollout.core.errors import RolloutError, Unreachable
from rollout.core.release import Release
from tests.pipeline.conftest import moto_url
from tests.platforms.aws.either import EITHER, clients_of, new_registry
from tests.platforms.kubernetes.fake_api import FakeApi
from tests.platforms.kubernetes.real_registry import running
from tests.rollout.worlds import release as make_release

pytestmark = pytest.mark.needs("registry")

__all__ = ["moto_url"]
IMAGE = "registry.example/serving@sha256:" + "1" * 64


class ClusterApi(FakeApi):
    """A cluster in memory, asked by somebody."""

    def user(self) -> str:
        """Who asks."""
        return "ana@example.org"


@dataclass(frozen=True)
class Stack:
    """A stack on Kubernetes."""

    api: Api
    registry: str
    signer: KeyPair
    name: str = "flight-delay-prod-3f0c1a2b4d5e"

    def place(self, image: str = IMAGE, name: str = "") -> Place:
        labels = {"app.kubernetes.io/part-of": "modelstack"}
        named = {"name": name or self.name, "labels": labels, "image": image, "signer": self.signer}
        return publish.place(self.api, publish.repository(self.registry), **named)

    @property
    def store(self) -> RegistryStore:
        return RegistryStore(Registry.of(self.registry))

    def objects(self) -> list[dict[str, Any]]:
        return self.api.list(PACKAGE)

    def record(self, package: Registered) -> ReleaseRecord:
        key = self.signer.public_key
        return ReleaseRecord(package.archive_uri, package.package_digest, package.model_package_arn, key)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("registry")) as one:
        yield one


@pytest.fixture
def stack(host: str) -> Callable[[], Stack]:
    return lambda: Stack(cast(Api, ClusterApi()), f"{host}/{uuid4().hex[:12]}", KeyPair.new())


def release_of(package: Registered) -> Release:
    facts = ("recipe", "package_digest", "archive_uri", "manifest_sha256", "model_package_arn")
    return replace(make_release("a"), **{name: getattr(package, name) for name in facts})


def test_a_published_package_is_a_blob_of_its_own_digest_and_waits_for_approval(
    sealed: SealedPackage, stack: Callable[[], Stack], tmp_path: Path
) -> None:
    here = stack()
    published = registering.publish(sealed, here.place())
    assert published.archive_uri == f"oci://{here.registry}@{sealed.digest}"
    assert published.model_package_arn == f"models/{here.name}"
    here.store.fetch(published.archive_uri, sealed.digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == sealed.path.read_bytes()
    (made,) = here.objects()
    assert made["spec"] == {
        "digest": sealed.digest,
        "recipe": sealed.recipe,
        "image": IMAGE,
        "manifestSha256": sealed.manifest_sha256,
        "archive": published.archive_uri,
        "metrics": dict(sealed.metrics),
    }
    assert made["status"]["approval"] == "PendingManualApproval"
    assert made["metadata"]["annotations"] == {"modelstack.dev/registered-by": "ana@example.org"}


def test_other_tools_find_the_members_by_their_titles(sealed: SealedPackage, stack: Callable[[], Stack]) -> None:
    here = stack()
    registering.publish(sealed, here.place())
    manifest = here.store.registry.manifest(sealed.digest.removeprefix("sha256:"))
    assert manifest is not None
    value = manifest.value()
    assert value["artifactType"] == "application/vnd.modelstack.package.v1"
    assert value["layers"][0]["digest"] == sealed.digest
    told = archive.documents(sealed.path)
    files = artifacts.files_of(manifest)
    assert files.keys() == told.keys() | {"model.tar.gz"}
    assert all(here.store.registry.read(files[name]) == content for name, content in told.items())


def test_a_member_is_read_by_its_digest_and_without_the_archive(
    sealed: SealedPackage, stack: Callable[[], Stack]
) -> None:
    here = stack()
    release = release_of(registering.publish(sealed, here.place()))
    assert member(release, REFERENCE) == archive.read(sealed.path, REFERENCE)
    assert member(release, "nothing.json") is None
    with pytest.raises(RolloutError, match="404"):
        member(replace(release, manifest_sha256="0" * 64), REFERENCE)
    gone = replace(release, archive_uri=f"oci://127.0.0.1:1/m@{sealed.digest}")
    with pytest.raises(Unreachable):
        member(gone, REFERENCE)
    with pytest.raises(RolloutError, match="expected oci://HOST"):
        member(replace(release, archive_uri="oci://m"), REFERENCE)


def test_publishing_twice_registers_once_and_keeps_a_verdict(sealed: SealedPackage, stack: Callable[[], Stack]) -> None:
    here = stack()
    first = registering.publish(sealed, here.place())
    (made,) = here.objects()
    here.api.replace_status(PACKAGE, {**made, "status": {"approval": "Rejected", "why": "it fails"}})
    key = here.signer.public_key
    before = here.store.said(first.archive_uri, key).files()
    assert registering.publish(sealed, here.place()) == first
    assert here.objects()[0]["status"]["approval"] == "Rejected"
    assert here.store.said(first.archive_uri, key).files() == before


def test_another_image_is_another_version_of_the_same_bytes(sealed: SealedPackage, stack: Callable[[], Stack]) -> None:
    here = stack()
    first = registering.publish(sealed, here.place())
    second = registering.publish(sealed, here.place(IMAGE.replace("1", "2"), "flight-delay-prod-000000000000"))
    assert first.archive_uri == second.archive_uri
    assert first.model_package_arn != second.model_package_arn
    with pytest.raises(RegistryError, match=r"has image .*, expected"):
        registering.publish(sealed, here.place(IMAGE.replace("1", "3")))


@pytest.mark.parametrize("after", (0, 8, 12, 18))
def test_publishing_goes_on_where_it_was_interrupted(
    sealed: SealedPackage, stack: Callable[[], Stack], monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Cut off before the n-th write of the registry, whichever that is."""
    here, writes = stack(), [0]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def write(*given: Any, **named: Any) -> Any:
            writes[0] += 1
            if writes[0] > after:
                raise KeyboardInterrupt
            return call(*given, **named)

        return write

    with monkeypatch.context() as patched:
        for name in ("put", "put_manifest"):
            patched.setattr(Registry, name, counted(getattr(Registry, name)))
        with pytest.raises(KeyboardInterrupt):
            registering.publish(sealed, here.place())
    assert here.objects() == []
    published = registering.publish(sealed, here.place())
    registering.check(here.record(published), here.store)
    assert len(here.objects()) == 1


def test_two_updates_at_once_make_one_version(
    sealed: SealedPackage, stack: Callable[[], Stack], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, first = stack(), stack()
    place = here.place()
    made = registering.publish(sealed, first.place())
    api = cast(Any, here.api)
    create = api.create

    def late(*given: Any, **named: Any) -> None:
        create(*given, **named)
        raise Exists("a moment ago")

    monkeypatch.setattr(api, "create", late)
    assert registering.publish(sealed, place).package_digest == made.package_digest
    assert [one["status"]["approval"] for one in here.objects()] == ["PendingManualApproval"]


def test_what_is_published_is_signed_with_the_key_of_the_stack_alone(
    sealed: SealedPackage, stack: Callable[[], Stack]
) -> None:
    here = stack()
    published = registering.publish(sealed, here.place())
    key = here.signer.public_key
    assert here.store.said(published.archive_uri, key).verify(sealed.digest, key) == origin.facts_of(sealed)
    with pytest.raises(Unsigned, match=r"is not signed with the key .* Run `pulumi up` on the stack"):
        here.store.said(published.archive_uri, KeyPair.new().public_key)


def forged(here: Stack, sealed: SealedPackage, **files: bytes) -> None:
    """Add evidence that says to be signed with the stack's key, by somebody who has another."""
    said = sign(origin.facts_of(sealed), KeyPair.new()).files() | files
    subject = here.store.registry.manifest(sealed.digest.removeprefix("sha256:"))
    assert subject is not None
    for content in said.values():
        here.store.registry.put(content)
    content = artifacts.evidence_manifest(said, here.signer.public_key, subject.content)
    refer(here.store.registry, content, subject.digest, uuid4().hex)


def test_evidence_that_somebody_adds_neither_counts_nor_hides_what_is_signed(
    sealed: SealedPackage, stack: Callable[[], Stack]
) -> None:
    here = stack()
    published = registering.publish(sealed, here.place())
    forged(here, sealed)
    forged(here, sealed, **{MODEL: b"{}", PROVENANCE: b""})
    registering.check(here.record(published), here.store)
    alone = stack()
    alone.store.put(sealed)
    forged(alone, sealed)
    uri = alone.store.uri(sealed.digest)
    with pytest.raises(SignatureError, match="is not by the key"):
        registering.check(ReleaseRecord(uri, sealed.digest, "", alone.signer.public_key), alone.store)


def test_what_a_registry_cleans_up_is_no_package_and_nothing_that_is_signed(
    sealed: SealedPackage, tmp_path: Path
) -> None:
    """`--delete-untagged` of this registry takes what only an index names for waste; and what is lost is made again."""
    clean = ["docker-registry", "garbage-collect", "--delete-untagged", str(tmp_path / "config.yml")]
    key = KeyPair.new()
    with running(tmp_path) as host:
        here = Stack(cast(Api, ClusterApi()), f"{host}/m", key)
        published = registering.publish(sealed, here.place())
        record = here.record(published)
    subprocess.run(clean, check=True, capture_output=True)
    with running(tmp_path) as host:
        there = replace(here, registry=f"{host}/m")
        registering.check(replace(record, archive_uri=there.store.uri(sealed.digest)), there.store)
    (signed,) = tmp_path.rglob(f"tags/{sealed.digest[7:]}.*")
    shutil.rmtree(signed)
    subprocess.run(clean, check=True, capture_output=True)
    with running(tmp_path) as host:
        there = replace(here, registry=f"{host}/m")
        lost = replace(record, archive_uri=there.store.uri(sealed.digest))
        with pytest.raises(Unsigned):
            registering.check(lost, there.store)
        there.store.keep(sign(origin.facts_of(sealed), key), sealed, key.public_key)
        registering.check(lost, there.store)


def test_a_tag_that_was_moved_to_something_else_is_told(sealed: SealedPackage, stack: Callable[[], Stack]) -> None:
    here = stack()
    published = registering.publish(sealed, here.place())
    other = artifacts.package_manifest("sha256:" + "0" * 64, 1, {})
    tag = sealed.digest.removeprefix("sha256:")
    empty = json.loads(other) | {"layers": []}
    here.store.registry.put_manifest(json.dumps(empty).encode(), MANIFEST_TYPE, tag)
    with pytest.raises(OciError, match="somebody has moved the tag"):
        registering.check(here.record(published), here.store)


def test_promotion_below_the_gates_or_of_another_package_registers_nothing(
    sealed: SealedPackage, stack: Callable[[], Stack]
) -> None:
    source, target = stack(), stack()
    record = source.record(registering.publish(sealed, source.place()))
    theirs = publish.origin(publish.store_of(record.archive_uri), source.api)
    with pytest.raises(GateRefused, match=r"auc +0\.\d+ +min 0\.99"):
        registering.copy(record, theirs, target.place(), {"auc": {"min": 0.99}})
    with pytest.raises(SignatureError, match="the archive is sha256:0000"):
        registering.copy(replace(record, package_digest="sha256:" + "0" * 64), theirs, target.place())
    assert target.objects() == []
    assert target.store.registry.manifest(sealed.digest.removeprefix("sha256:")) is None


def test_a_candidate_is_taken_as_it_is_registered(sealed: SealedPackage, stack: Callable[[], Stack]) -> None:
    here = stack()
    first = registering.publish(sealed, here.place())
    assert registering.take(here.record(first), sealed.recipe, here.place(), {"auc": {"min": 0.5}}) == first
    with pytest.raises(RegistryError, match=f"is of recipe {sealed.recipe}, expected 0000"):
        registering.take(here.record(first), "0000", here.place())


# From AWS and back


@pytest.fixture(params=EITHER)
def clients(request: pytest.FixtureRequest) -> Clients:
    return clients_of(request)


def test_a_champion_goes_from_aws_to_a_cluster_and_back_by_its_digest_with_all_signatures(
    sealed: SealedPackage, stack: Callable[[], Stack], clients: Clients
) -> None:
    at, cluster, back = new_registry(clients), stack(), new_registry(clients)
    first = platforms.aws.registry.publish(sealed, **at)
    trusted = at["signer"].public_key
    record = ReleaseRecord(first.archive_uri, first.package_digest, first.model_package_arn, trusted)
    second = registering.copy(record, platforms.aws.registry.origin(clients), cluster.place())
    third = registering.copy(
        cluster.record(second),
        publish.origin(publish.store_of(second.archive_uri), cluster.api),
        platforms.aws.registry.place(**back),
    )
    assert second.archive_uri.startswith(f"oci://{cluster.registry}@")
    assert third.archive_uri.startswith(f"s3://{back['bucket']}/")
    same = ("package_digest", "manifest_sha256", "recipe", "metrics")
    assert [[getattr(one, name) for name in same] for one in (second, third)] == [
        [getattr(first, name) for name in same]
    ] * 2
    told = cluster.objects()[0]["metadata"]["annotations"]
    made = clients("sagemaker").describe_model_package(ModelPackageName=third.model_package_arn)
    known = made["CustomerMetadataProperties"]
    assert told["modelstack.dev/promoted-from"] == first.model_package_arn
    assert known["promoted_from"] == second.model_package_arn
    assert told["modelstack.dev/trained-by"] == known["trained_by"]
    stores = (cluster.store, platforms.aws.registry.BucketStore(back["bucket"], clients("s3")))
    for store, uri, keys in zip(
        stores,
        (second.archive_uri, third.archive_uri),
        ([trusted, cluster.signer.public_key], [cluster.signer.public_key, back["signer"].public_key]),
        strict=True,
    ):
        for key in keys:
            assert store.said(uri, key).verify(sealed.digest, key) == origin.facts_of(sealed)
    assert member(release_of(second), REFERENCE) == archive.read(sealed.path, REFERENCE)


def test_what_aws_has_not_signed_or_has_changed_does_not_reach_a_cluster(
    sealed: SealedPackage, stack: Callable[[], Stack], clients: Clients
) -> None:
    at, cluster = new_registry(clients), stack()
    first = platforms.aws.registry.publish(sealed, **at)
    theirs = platforms.aws.registry.origin(clients)
    record = ReleaseRecord(first.archive_uri, first.package_digest, first.model_package_arn, KeyPair.new().public_key)
    with pytest.raises(Unsigned):
        registering.copy(record, theirs, cluster.place())
    clients("s3").put_object(Bucket=at["bucket"], Key=first.archive_uri.split("/", 3)[3], Body=b"other")
    with pytest.raises(RegistryError, match="it was changed after it was registered"):
        registering.copy(replace(record, signed_by=at["signer"].public_key), theirs, cluster.place())
    assert cluster.objects() == []
