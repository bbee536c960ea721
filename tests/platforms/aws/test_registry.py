"""The registry, on moto's server and on the local cloud: same bytes in, same bytes out, or nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipeline import archive, origin
from pipeline.gate import GateRefused
from platforms import registering
from platforms.aws import registry, signatures
from platforms.aws.clients import Clients
from platforms.aws.identity import caller
from platforms.aws.objects import RegistryError, upload
from platforms.aws.packages import METRICS, REFERENCE, DigestMismatch, beside, member
from platforms.aws.registry import ReleaseRecord, copy, fetch, publish, take
from platforms.aws.signatures import Unsigned
from provenance.envelope import SignatureError
from provenance.evidence import BOM, CARD, FACTS, MODEL, PROVENANCE, SAGEMAKER_CARD, sign
from provenance.key_pair import KeyPair
from rollout.core.release import Release
from tests.platforms.aws.either import EITHER, IMAGE, clients_of, new_registry
from tests.platforms.aws.sealing import put
from tests.rollout.worlds import release as make_release


@pytest.fixture(params=EITHER)
def clients(request: pytest.FixtureRequest) -> Clients:
    return clients_of(request)


@pytest.fixture
def place(clients: Clients) -> Callable[[], dict[str, Any]]:
    """Makes stacks' registries: bucket, group, image and clients."""

    return lambda: new_registry(clients)


def record_of(package: registry.Registered, place: dict[str, Any]) -> ReleaseRecord:
    key = place["signer"].public_key
    return ReleaseRecord(package.archive_uri, package.package_digest, package.model_package_arn, key)


def versions(clients: Clients, group: str) -> list[dict[str, Any]]:
    return clients("sagemaker").list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]


def stored(clients: Clients, uri: str) -> bytes:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return clients("s3").get_object(Bucket=bucket, Key=key)["Body"].read()


def test_a_published_package_is_there_whole_and_waits_for_approval(sealed, clients, place):
    at = place()
    published = publish(sealed, **at)
    digest = sealed.digest.removeprefix("sha256:")
    assert published.archive_uri == f"s3://{at['bucket']}/packages/{digest}/model.tar.gz"
    assert hashlib.sha256(stored(clients, published.archive_uri)).hexdigest() == digest
    for name, content in archive.documents(sealed.path).items():
        assert stored(clients, beside(published.archive_uri, name)) == content
    package = clients("sagemaker").describe_model_package(ModelPackageName=published.model_package_arn)
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    (container,) = package["InferenceSpecification"]["Containers"]
    assert container["Image"] == IMAGE
    assert container["ModelDataUrl"] == published.archive_uri
    assert container["Environment"] == {"MODELSTACK_MANIFEST_SHA256": sealed.manifest_sha256}
    metadata = package["CustomerMetadataProperties"]
    assert metadata["recipe"] == sealed.recipe
    assert metadata["package_digest"] == sealed.digest
    assert metadata["registered_by"] == caller(clients)
    assert float(metadata["metric.auc"]) == pytest.approx(sealed.metrics["auc"], rel=1e-5)
    measured = {name: item["Statistics"]["S3Uri"] for name, item in package["ModelMetrics"].items()}
    assert json.loads(stored(clients, measured["ModelQuality"]))["summary"] == dict(sealed.metrics)
    assert stored(clients, measured["ModelDataQuality"]) == archive.read(sealed.path, REFERENCE)


@pytest.mark.parametrize("clients", [pytest.param("local cloud", marks=pytest.mark.e2e)], indirect=True)
def test_a_version_has_the_model_card_that_was_signed_on_each_stack(sealed, clients, place):
    at, other = place(), place()
    published = publish(sealed, **at)
    copied = copy(record_of(published, at), **other)
    cards = [
        clients("sagemaker").describe_model_package(ModelPackageName=one.model_package_arn)["ModelCard"]
        for one in (published, copied)
    ]
    signed = signatures.read(published.archive_uri, at["signer"].public_key, clients("s3")).documents[SAGEMAKER_CARD]
    assert cards == [{"ModelCardContent": signed.decode(), "ModelCardStatus": "Draft"}] * 2


TOLD = {
    *("answer.json", "baseline.json", "example.json", "features.json", "manifest.json", "metrics.json"),
    "reference.json",
}
"""What lies beside an archive: all that is asked of a package, and neither its weights nor its code."""


SAID = {FACTS, BOM, CARD, SAGEMAKER_CARD, MODEL, PROVENANCE}
"""What is said of a package, and the signatures."""


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


def release_of(published: registry.Registered) -> Release:
    """The release of a registered package, as the journal keeps it."""
    facts = ("recipe", "package_digest", "archive_uri", "manifest_sha256", "model_package_arn")
    return replace(make_release("a"), **{name: getattr(published, name) for name in facts})


def test_every_member_that_is_asked_for_is_read_without_the_archive(sealed, clients, place):
    source, target = place(), place()
    first = publish(sealed, **source)
    promoted = copy(record_of(first, source), **target)
    taken = take(record_of(promoted, target), sealed.recipe, **target)
    for published in (first, promoted, taken):
        for name in sorted(TOLD - {"manifest.json"}):
            s3 = Counting(clients("s3"))
            assert member(s3, release_of(published), name) == archive.read(sealed.path, name)
            assert s3.keys == ["manifest.json", name]
    s3 = Counting(clients("s3"))
    assert member(s3, release_of(first), "other.json") is None
    assert s3.keys == ["manifest.json"]


@pytest.mark.parametrize("changed", ["manifest.json", METRICS])
def test_a_changed_manifest_or_member_is_refused_by_its_key_and_both_digests(sealed, clients, place, changed: str):
    release = release_of(publish(sealed, **place()))
    uri, other = beside(release.archive_uri, changed), b'{"files": {}, "summary": {}}'
    put(clients("s3"), uri, other)
    was = hashlib.sha256(archive.read(sealed.path, changed)).hexdigest()
    s3 = Counting(clients("s3"))
    with pytest.raises(DigestMismatch) as refused:
        member(s3, release, METRICS)
    assert f"{uri}: got sha256:{hashlib.sha256(other).hexdigest()}, expected sha256:{was}" in str(refused.value)
    assert s3.keys[-1] == changed, "nothing is asked for after it"


@pytest.mark.parametrize("name", sorted(TOLD))
def test_other_bytes_beside_an_archive_are_neither_taken_nor_written_over(sealed, clients, place, name: str):
    at = place()
    uri = beside(publish(sealed, **at).archive_uri, name)
    put(clients("s3"), uri, b"other")
    with pytest.raises(RegistryError, match=f"{name} is there with digest"):
        publish(sealed, **at)
    assert stored(clients, uri) == b"other"


def test_publishing_twice_registers_once(sealed, clients, place):
    at = place()
    assert publish(sealed, **at) == publish(sealed, **at)
    assert len(versions(clients, at["group"])) == 1


def test_a_verdict_survives_publishing_again(sealed, clients, place):
    at = place()
    arn = publish(sealed, **at).model_package_arn
    # AWS merges metadata on an update; moto takes what is not given as none, so it is given again.
    metadata = clients("sagemaker").describe_model_package(ModelPackageName=arn)["CustomerMetadataProperties"]
    clients("sagemaker").update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Rejected", CustomerMetadataProperties=metadata
    )
    assert publish(sealed, **at).model_package_arn == arn
    assert clients("sagemaker").describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"] == "Rejected"


def test_another_image_is_another_version_of_the_same_bytes(sealed, clients, place):
    at = place()
    first, second = publish(sealed, **at), publish(sealed, **{**at, "image": IMAGE.replace("process", "other")})
    assert first.archive_uri == second.archive_uri
    assert len(versions(clients, at["group"])) == 2
    assert publish(sealed, **at) == first


@pytest.mark.parametrize("lost", ["put_object", "create_model_package"])
def test_publishing_goes_on_where_it_was_interrupted(sealed, clients, place, lost: str):
    at = place()

    class Interrupting:
        """A client that is cut off before the named call, the second time for uploads."""

        def __init__(self, client: Any) -> None:
            self.client, self.calls = client, 0

        def __getattr__(self, name: str) -> Any:
            if name == lost:
                self.calls += 1
                if lost == "create_model_package" or self.calls == 2:
                    raise KeyboardInterrupt
            return getattr(self.client, name)

    cut_off = cache(lambda service: Interrupting(clients(service)))
    with pytest.raises(KeyboardInterrupt):
        publish(sealed, **{**at, "clients": cut_off})
    assert versions(clients, at["group"]) == []
    published = publish(sealed, **at)
    assert len(versions(clients, at["group"])) == 1
    assert hashlib.sha256(stored(clients, published.archive_uri)).hexdigest() == sealed.digest.removeprefix("sha256:")


def test_the_archive_is_sent_after_everything_beside_it(sealed, clients, place, monkeypatch: pytest.MonkeyPatch):
    sent: list[str] = []
    for module in (registry, signatures):
        monkeypatch.setattr(module, "upload", lambda *given: sent.append(given[2]) or upload(*given))
    publish(sealed, **place())
    assert {key.rpartition("/")[2] for key in sent[:-1]} == TOLD | SAID
    assert sent[-1].endswith("/model.tar.gz")


def test_other_bytes_under_the_packages_name_are_refused_with_both_digests(sealed, clients, place):
    at = place()
    key = f"packages/{sealed.digest.removeprefix('sha256:')}/model.tar.gz"
    clients("s3").put_object(Bucket=at["bucket"], Key=key, Body=b"other")
    with pytest.raises(RegistryError) as refused:
        publish(sealed, **at)
    assert f"sha256:{hashlib.sha256(b'other').hexdigest()}, expected {sealed.digest}" in str(refused.value)
    assert f"s3://{at['bucket']}/{key}" in str(refused.value)
    assert versions(clients, at["group"]) == []


def test_an_archive_that_was_changed_on_disk_is_not_sent(sealed, clients, place, tmp_path: Path):
    at = place()
    changed = tmp_path / "model.tar.gz"
    changed.write_bytes(sealed.path.read_bytes() + b"x")
    with pytest.raises(archive.ArchiveError, match="has digest"):
        publish(replace(sealed, path=changed), **at)
    assert "Contents" not in clients("s3").list_objects_v2(Bucket=at["bucket"])


def test_promotion_registers_the_same_bytes_and_where_they_came_from(sealed, clients, place):
    source, target = place(), place()
    first = publish(sealed, **source)
    second = copy(record_of(first, source), **target)
    assert second.archive_uri.startswith(f"s3://{target['bucket']}/")
    assert stored(clients, second.archive_uri) == stored(clients, first.archive_uri) == sealed.path.read_bytes()
    same = ("package_digest", "manifest_sha256", "recipe", "metrics")
    assert [getattr(second, name) for name in same] == [getattr(first, name) for name in same]
    package = clients("sagemaker").describe_model_package(ModelPackageName=second.model_package_arn)
    assert package["CustomerMetadataProperties"]["promoted_from"] == first.model_package_arn
    assert package["CustomerMetadataProperties"]["trained_by"] == caller(clients)
    assert package["ModelApprovalStatus"] == "PendingManualApproval"


def test_promotion_of_changed_bytes_is_refused_with_both_digests_and_registers_nothing(sealed, clients, place):
    source, target = place(), place()
    first = publish(sealed, **source)
    key = first.archive_uri.removeprefix(f"s3://{source['bucket']}/")
    changed = sealed.path.read_bytes()[:-9] + b"!" + sealed.path.read_bytes()[-8:]
    clients("s3").put_object(Bucket=source["bucket"], Key=key, Body=changed)
    with pytest.raises(RegistryError) as refused:
        copy(record_of(first, source), **target)
    assert f"sha256:{hashlib.sha256(changed).hexdigest()}, expected {sealed.digest}" in str(refused.value)
    assert versions(clients, target["group"]) == []
    assert "Contents" not in clients("s3").list_objects_v2(Bucket=target["bucket"])


def test_promotion_below_the_gates_of_the_other_stack_registers_nothing(sealed, clients, place):
    source, target = place(), place()
    first = publish(sealed, **source)
    record = record_of(first, source)
    with pytest.raises(GateRefused, match=r"auc +0\.\d+ +min 0\.99"):
        copy(record, **target, gates={"auc": {"min": 0.99}})
    assert versions(clients, target["group"]) == []
    assert "Contents" not in clients("s3").list_objects_v2(Bucket=target["bucket"])
    assert copy(record, **target, gates={"auc": {"min": 0.5}}).package_digest == first.package_digest


def test_a_candidate_is_taken_as_it_is_registered(sealed, clients, place):
    at = place()
    first = publish(sealed, **at)
    assert take(record_of(first, at), sealed.recipe, **at, gates={"auc": {"min": 0.5}}) == first
    assert len(versions(clients, at["group"])) == 1


def test_a_candidate_of_an_earlier_image_is_registered_with_the_one_that_serves_now(sealed, clients, place):
    at = place()
    first = publish(sealed, **{**at, "image": IMAGE.replace("process", "other")})
    taken = take(record_of(first, at), sealed.recipe, **at)
    assert (taken.archive_uri, taken.package_digest) == (first.archive_uri, first.package_digest)
    assert taken.image_uri == IMAGE
    assert taken.model_package_arn != first.model_package_arn


def test_a_candidate_whose_version_is_gone_is_registered_again(sealed, clients, place):
    at, empty = place(), place()["group"]
    first = publish(sealed, **at)
    taken = take(record_of(first, at), sealed.recipe, **{**at, "group": empty})
    assert (taken.archive_uri, taken.package_digest) == (first.archive_uri, first.package_digest)
    assert [one["ModelPackageArn"] for one in versions(clients, empty)] == [taken.model_package_arn]


def test_a_candidate_of_other_bytes_another_recipe_or_below_its_gates_is_refused(sealed, clients, place):
    at = place()
    first = publish(sealed, **at)
    with pytest.raises(RegistryError, match=f"is of recipe {sealed.recipe}, expected 0000"):
        take(record_of(first, at), "0000", **at)
    with pytest.raises(GateRefused, match=r"auc +0\.\d+ +min 0\.99"):
        take(record_of(first, at), sealed.recipe, **at, gates={"auc": {"min": 0.99}})
    key = first.archive_uri.removeprefix(f"s3://{at['bucket']}/")
    clients("s3").put_object(Bucket=at["bucket"], Key=key, Body=b"other")
    with pytest.raises(RegistryError, match=f"expected {sealed.digest}"):
        take(record_of(first, at), sealed.recipe, **at)
    clients("s3").delete_object(Bucket=at["bucket"], Key=key)
    with pytest.raises(RegistryError, match="cannot read s3://"):
        take(record_of(first, at), sealed.recipe, **at)


def test_a_package_that_is_gone_is_named(sealed, clients, place, tmp_path: Path):
    uri = f"s3://{place()['bucket']}/packages/none/model.tar.gz"
    with pytest.raises(RegistryError, match=f"cannot read {uri}"):
        fetch(uri, sealed.digest, tmp_path / "model.tar.gz", clients("s3"))
    assert list(tmp_path.iterdir()) == []


def test_what_is_fetched_appears_only_with_its_digest(sealed, clients, place, tmp_path: Path):
    at = place()
    published = publish(sealed, **at)
    with pytest.raises(RegistryError, match="expected sha256:0000"):
        fetch(published.archive_uri, "sha256:" + "0" * 64, tmp_path / "model.tar.gz", clients("s3"))
    assert list(tmp_path.iterdir()) == []
    fetch(published.archive_uri, sealed.digest, tmp_path / "model.tar.gz", clients("s3"))
    assert archive.package_digest(tmp_path / "model.tar.gz") == sealed.digest


def listed(clients: Clients, place: dict[str, Any], under: str) -> dict[str, bytes]:
    """Key -> content of what lies beside the archive in a folder."""
    found = clients("s3").list_objects_v2(Bucket=place["bucket"]).get("Contents", [])
    keys = [item["Key"] for item in found if f"/{under}/" in item["Key"]]
    return {key: stored(clients, f"s3://{place['bucket']}/{key}") for key in keys}


def test_what_is_published_is_signed_with_the_key_of_the_stack(sealed, clients, place):
    at = place()
    published = publish(sealed, **at)
    key = at["signer"].public_key
    facts = signatures.read(published.archive_uri, key, clients("s3")).verify(sealed.digest, key)
    assert facts == origin.facts_of(sealed)


def test_what_was_said_first_is_kept_whoever_registers_the_same_bytes_later(sealed, clients, place, tmp_path: Path):
    at = place()
    publish(sealed, **at)
    before = listed(clients, at, "signatures") | listed(clients, at, "documents")
    again = replace(sealed, path=Path(shutil.copy(sealed.path, tmp_path / "model.tar.gz")))
    facts = origin.facts_of(sealed)
    origin.write(replace(facts, source=replace(facts.source, commit="9" * 40)), again)
    publish(again, **at)
    assert listed(clients, at, "signatures") | listed(clients, at, "documents") == before
    assert {key.rpartition("/")[2] for key in before} == SAID


def test_a_promoted_package_bears_both_signatures_and_the_same_documents(sealed, clients, place):
    source, target, third = place(), place(), place()
    promoted = copy(record_of(publish(sealed, **source), source), **target)
    assert listed(clients, target, "documents").keys() == listed(clients, source, "documents").keys()
    assert listed(clients, source, "signatures").items() <= listed(clients, target, "signatures").items()
    for one in (source, target):
        key = one["signer"].public_key
        told = signatures.read(promoted.archive_uri, key, clients("s3")).verify(sealed.digest, key)
        assert told == origin.facts_of(sealed)
    assert copy(record_of(promoted, target), **third).package_digest == sealed.digest


def test_a_package_from_before_packages_were_signed_is_refused_until_it_is_published_again(sealed, clients, place):
    source, target = place(), place()
    uri = registry.store(sealed.path, sealed.digest, source["bucket"], clients("s3"))
    record = ReleaseRecord(uri, sealed.digest, "arn", source["signer"].public_key)
    with pytest.raises(Unsigned, match="Run `pulumi up` on the stack that registered it"):
        copy(record, **target)
    assert "Contents" not in clients("s3").list_objects_v2(Bucket=target["bucket"])
    assert copy(record_of(publish(sealed, **source), source), **target).package_digest == sealed.digest


TAMPERED: dict[str, Callable[[bytes], bytes]] = {
    "flipped": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "truncated": lambda content: content[: len(content) // 2],
    "longer": lambda content: content + b" ",
}


@pytest.mark.parametrize("spoiled", [(name, how) for name in sorted(SAID) for how in TAMPERED], ids=" ".join)
def test_changed_documents_and_signatures_are_refused_before_the_archive_is_fetched(
    sealed, clients, place, monkeypatch: pytest.MonkeyPatch, spoiled: tuple[str, str]
):
    name, how = spoiled
    source, target = place(), place()
    record = record_of(publish(sealed, **source), source)
    (key,) = [
        key for key in listed(clients, source, "documents") | listed(clients, source, "signatures") if name in key
    ]
    uri = f"s3://{source['bucket']}/{key}"
    put(clients("s3"), uri, TAMPERED[how](stored(clients, uri)))
    monkeypatch.setattr(registry, "fetch", lambda *_: pytest.fail("the archive was fetched"))
    with pytest.raises(SignatureError):
        copy(record, **target)
    assert "Contents" not in clients("s3").list_objects_v2(Bucket=target["bucket"])


def test_another_archive_with_a_digest_of_its_own_is_refused_before_it_is_parsed(
    sealed, clients, place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Whoever may write the bucket and what the stack says of its champion still cannot sign."""
    source, target = place(), place()
    record = record_of(publish(sealed, **source), source)
    content = sealed.path.read_bytes() + b"\0"
    put(clients("s3"), record.archive_uri, content)
    lying = replace(record, package_digest=f"sha256:{hashlib.sha256(content).hexdigest()}")
    monkeypatch.setattr(registering, "describe", lambda *_: pytest.fail("the archive was parsed"))
    with pytest.raises(SignatureError, match="the archive is sha256:"):
        copy(lying, **target)


def test_a_package_that_another_key_has_signed_is_refused(sealed, clients, place):
    source, target, stranger = place(), place(), KeyPair.new()
    record = record_of(publish(sealed, **{**source, "signer": stranger}), source)
    with pytest.raises(Unsigned):
        copy(record, **target)
    forged = sign(origin.facts_of(sealed), stranger)
    trusted = signatures._signed_by(source["signer"].public_key)
    for name, content in ((MODEL, forged.model), (PROVENANCE, forged.provenance)):
        put(clients("s3"), beside(record.archive_uri, f"{trusted}/{name}"), content)
    with pytest.raises(SignatureError, match="is not by the key"):
        copy(record, **target)


def test_signing_goes_on_where_it_was_interrupted(sealed, clients, place, monkeypatch: pytest.MonkeyPatch):
    at = place()

    def cut_off(s3: Any, bucket: str, key: str, *rest: Any) -> str:
        if key.endswith(PROVENANCE):
            raise KeyboardInterrupt
        return upload(s3, bucket, key, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(signatures, "upload", cut_off)
        with pytest.raises(KeyboardInterrupt):
            publish(sealed, **at)
    published, key = publish(sealed, **at), at["signer"].public_key
    signatures.read(published.archive_uri, key, clients("s3")).verify(sealed.digest, key)
