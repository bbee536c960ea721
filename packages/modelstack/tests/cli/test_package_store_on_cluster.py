"""Commands find and verify the packages of a stack on a cluster, in a bucket or a registry, or say why they cannot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import boto3
import pytest

from modelstack.cli import reproduce
from modelstack.cli.errors import AGAIN, OperatorError
from modelstack.cli.lineage.read import read
from modelstack.cli.lineage.tree import tree
from modelstack.cli.page import page
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.report.versions import bring, fetched
from modelstack.cli.restore import _verified
from modelstack.cli.target import Target
from modelstack.pipeline.pack import SealedPackage
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.approvals import PackageApprovals
from modelstack.platforms.kubernetes.journal import copied_journal
from modelstack.platforms.kubernetes.kinds import PACKAGE
from modelstack.platforms.kubernetes.oci import OciRepository, sha256
from modelstack.platforms.kubernetes.versions import ModelPackages
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.services.approvals import approve
from tests.cli.registered import NAME, Stack, stack_of
from tests.pipeline.conftest import moto_url
from tests.platforms.aws.mocked import lead_to_mocks
from tests.platforms.kubernetes.real_registry import running

pytestmark = pytest.mark.slow

__all__ = ["moto_url"]
IMAGE = "serving:1"
NOWHERE = "http://127.0.0.1:9"
NEEDS_REGISTRY = pytest.mark.needs("registry")


@pytest.fixture
def bucket(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    lead_to_mocks(monkeypatch)
    name = f"models-{uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=moto_url).create_bucket(Bucket=name)
    return {"name": name, "endpoint": moto_url, "region": "us-east-1"}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("registry")) as one:
        yield one


@pytest.fixture
def in_bucket(sealed: SealedPackage, bucket: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Stack:
    return stack_of(sealed, "127.0.0.1:9/models", monkeypatch, image=IMAGE, bucket=bucket)


@pytest.fixture
def in_registry(sealed: SealedPackage, host: str, monkeypatch: pytest.MonkeyPatch) -> Stack:
    return stack_of(sealed, f"{host}/{uuid4().hex[:12]}", monkeypatch, image=IMAGE)


@pytest.fixture(params=["in_bucket", pytest.param("in_registry", marks=NEEDS_REGISTRY)])
def stack(request: pytest.FixtureRequest) -> Stack:
    return request.getfixturevalue(request.param)


def of_bucket(stack: Stack) -> tuple[Any, dict[str, str]]:
    """An S3 client for the stack's bucket, and the arguments that name the archive in it."""
    name, _, key = stack.package.archive_uri.removeprefix("s3://").partition("/")
    return boto3.client("s3", endpoint_url=stack.target.outputs["bucket"]["endpoint"]), {"Bucket": name, "Key": key}


def without_package(stack: Stack) -> Stack:
    return replace(stack, package=replace(stack.package, package_digest=f"sha256:{'0' * 64}"))


def champion(stack: Stack | Target) -> dict[str, Any]:
    found = platform_of(stack.target if isinstance(stack, Stack) else stack).state().champion
    assert found is not None
    return found.as_dict()


def test_the_lineage_of_a_package_is_proven_and_shown_as_on_aws(
    stack: Stack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    stack.api.who = "ben@example.org"
    approvals = PackageApprovals(cast(Api, stack.api), NAME)
    approve(ModelPackages(approvals.api, NAME), approvals, stack.id, "looks well", now=1.0, registry=NAME)
    graph = read(stack.target)
    assert (graph.package, graph.unread) == (stack.package.package_digest, ())
    page().print(tree(graph))
    told = capsys.readouterr().out
    for part in (f"models/{NAME}-1", "ada@example.org", "ben@example.org", "looks well", stack.package.recipe[:12]):
        assert part in told, (part, told)
    assert [node.facts["verified"] for node in graph.nodes if node.kind == "key"] == [True]
    assert [node.facts["archive"] for node in graph.nodes if node.kind == "version"] == [stack.package.archive_uri]
    assert read(stack.target, stack.package.package_digest[:20]).package == graph.package


def test_what_another_key_has_signed_is_not_believed(in_bucket: Stack) -> None:
    other = in_bucket.told(signing_key=KeyPair.new().public_key.decode())
    assert ["is not signed with the key" in line for line in read(other).unread] == [True]
    with pytest.raises(OperatorError, match=r"is not to be believed: .* is not signed with the key"):
        reproduce.facts_of(other, in_bucket.id)


def test_it_is_reproduced_by_any_of_its_names_and_compared_with_the_archive(in_bucket: Stack, tmp_path: Path) -> None:
    facts = reproduce.facts_of(in_bucket.target, in_bucket.package.package_digest)
    assert reproduce.facts_of(in_bucket.target, in_bucket.id) == facts
    assert reproduce._members_of_then(in_bucket.target, facts, tmp_path / "then")
    s3, archive = of_bucket(in_bucket)
    s3.delete_object(**archive)
    assert reproduce._members_of_then(in_bucket.target, facts, tmp_path / "gone") is None


def test_a_comment_on_a_pull_request_reads_the_champion(stack: Stack, tmp_path: Path) -> None:
    serves = champion(stack)
    found = fetched(serves, tmp_path / "champion", partial(bring, stack.target))
    assert (found.package.digest, found.package.recipe) == (serves["package_digest"], serves["recipe"])


@NEEDS_REGISTRY
def test_an_archive_that_does_not_hold_the_champion_is_not_compared(in_registry: Stack, tmp_path: Path) -> None:
    other = {**champion(in_registry), "package_digest": f"sha256:{'0' * 64}"}
    with pytest.raises(OperatorError, match="does not name the package"):
        fetched(other, tmp_path / "gone", partial(bring, in_registry.target))


def test_a_release_is_restored_while_its_archive_is_there_and_a_missing_archive_is_an_error(stack: Stack) -> None:
    assert _verified(stack.target, stack.deployment) == stack.package.archive_uri
    with pytest.raises(OperatorError, match=r"cannot be restored: \w+://.* is gone\.") as caught:
        _verified(stack.target, without_package(stack).deployment)
    assert "modelstack reproduce" in str(caught.value.hint)


@NEEDS_REGISTRY
def test_a_release_whose_image_is_gone_is_not_restored(in_registry: Stack) -> None:
    place = f"{in_registry.target.outputs['registry']}/serving"
    gone = replace(in_registry, image=f"{place}@sha256:{'1' * 64}")
    with pytest.raises(OperatorError, match=r"cannot be restored: the serving image .* is gone"):
        _verified(gone.target, gone.deployment)
    manifest = b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}'
    OciRepository.of(place).put_manifest(manifest, "application/vnd.oci.image.index.v1+json")
    found = replace(in_registry, image=f"{place}@{sha256(manifest)}")
    assert _verified(found.target, found.deployment) == in_registry.package.archive_uri


def test_an_archive_that_was_changed_or_deleted_is_refused_with_how_it_comes_back(in_bucket: Stack) -> None:
    s3, archive = of_bucket(in_bucket)
    s3.put_object(**archive, Body=b"other bytes")
    with pytest.raises(OperatorError, match=r"is not restored, nothing of it was run: .* was changed after") as caught:
        _verified(in_bucket.target, in_bucket.deployment)
    assert f"--bucket {archive['Bucket']} --prefix packages/" in str(caught.value.hint)
    s3.delete_object(**archive)
    with pytest.raises(OperatorError, match=r"model.tar.gz is gone\.") as gone:
        _verified(in_bucket.target, in_bucket.deployment)
    where = f"--prefix {archive['Key'].removesuffix('model.tar.gz')} --endpoint-url {s3.meta.endpoint_url}"
    assert f"aws s3api list-object-versions --bucket {archive['Bucket']} {where}" in str(gone.value)


def test_a_store_that_does_not_answer_is_no_proof_of_anything(in_bucket: Stack, tmp_path: Path) -> None:
    target = in_bucket.told(bucket={**in_bucket.target.outputs["bucket"], "endpoint": NOWHERE})
    said = f"bucket models-\\w+ at {NOWHERE} does not answer: .*modelstack:kubernetes.bucket.endpoint is its"
    with pytest.raises(OperatorError, match=f"^looking at the package sha256:[0-9a-f]+: {said}") as restored:
        _verified(target, in_bucket.deployment)
    assert restored.value.hint == AGAIN, "it was not changed, so nothing is to be brought back"
    with pytest.raises(OperatorError, match=f"^looking for sha256:[0-9a-f]+: {said}"):
        reproduce.facts_of(target, in_bucket.package.package_digest)
    with pytest.raises(OperatorError, match=f"^reading the signatures of sha256:[0-9a-f]+: {said}"):
        reproduce.facts_of(target, in_bucket.id)
    with pytest.raises(OperatorError, match=said):
        fetched(champion(in_bucket), tmp_path / "away", partial(bring, target))
    graph = read(target)
    (unread,) = graph.unread
    assert "the documents of sha256:" in unread
    assert [node.kind for node in graph.nodes if node.kind in ("version", "endpoint")], "the rest is shown"


def test_it_reads_what_another_stack_has_in_its_own_bucket(
    in_bucket: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Api, "of", lambda *_: in_bucket.api)
    bucket = in_bucket.target.outputs["bucket"]
    source = {**champion(in_bucket), "platform": "kubernetes", "context": "other", "bucket": bucket}
    for taking in (in_bucket.told(bucket=None), in_bucket.told(bucket={**bucket, "endpoint": NOWHERE})):
        bring(taking, source, tmp_path / "taken")
        assert (tmp_path / "taken").stat().st_size
    bring(Target("prod", "e", "us-east-1", {}), source, tmp_path / "on AWS")


# A stack that is moved from one store to another


@pytest.mark.parametrize("by", ["ModelPackage", "journal"])
def test_a_package_in_an_earlier_bucket_is_found_by_either_record_of_it(
    in_bucket: Stack, moto_url: str, by: str, tmp_path: Path
) -> None:
    newer = f"newer-{uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=moto_url).create_bucket(Bucket=newer)
    now = in_bucket.told(bucket={**in_bucket.target.outputs["bucket"], "name": newer})
    found_all_over(in_bucket, now, tmp_path)
    if by == "journal":
        in_bucket.api.delete(PACKAGE, f"{NAME}-1")
    else:
        journal = copied_journal(cast(Api, in_bucket.api), NAME)
        journal.write(replace(journal.read(), champion=None))
    digest = in_bucket.package.package_digest
    assert _verified(now, in_bucket.deployment) == in_bucket.package.archive_uri
    assert reproduce.facts_of(now, digest).package.digest == digest
    if by == "ModelPackage":
        assert read(now, digest).unread == ()


@NEEDS_REGISTRY
def test_a_package_in_the_registry_is_found_by_a_stack_that_names_a_bucket_now(
    in_registry: Stack, bucket: dict[str, Any], tmp_path: Path
) -> None:
    assert in_registry.package.archive_uri.startswith("oci://")
    found_all_over(in_registry, in_registry.told(bucket=bucket), tmp_path)


@NEEDS_REGISTRY
def test_a_package_in_a_bucket_is_found_by_a_stack_that_names_none_now(
    in_bucket: Stack, host: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", in_bucket.target.outputs["bucket"]["endpoint"])
    now = in_bucket.told(bucket=None, registry=f"{host}/models")
    found_all_over(in_bucket, now, tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", NOWHERE)
    with pytest.raises(OperatorError, match=f"at {NOWHERE}, as the stack names no bucket now, does not answer"):
        _verified(now, in_bucket.deployment)


def found_all_over(before: Stack, now: Target, folder: Path) -> None:
    digest = before.package.package_digest
    assert _verified(now, before.deployment) == before.package.archive_uri
    assert reproduce.facts_of(now, digest).package.digest == digest
    assert read(now).unread == ()
    bring(now, champion(now), folder / "champion")
    platform_of(now).package_store().fetch(digest, folder / "then")
    with pytest.raises(OperatorError, match="is gone"):
        _verified(now, without_package(before).deployment)
