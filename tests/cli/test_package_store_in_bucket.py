"""A stack on a cluster whose packages are in a bucket: commands find them there, and say why where they cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from cli import reproduce
from cli.errors import OperatorError
from cli.lineage.read import read
from cli.platform.choose import platform_of
from cli.report.versions import bring, fetched
from cli.restore import _verified
from cli.target import Target
from pipeline.pack import SealedPackage
from provenance.key_pair import KeyPair
from tests.cli.registered import Stack, stack_of
from tests.pipeline.conftest import moto_url
from tests.platforms.aws.mocked import lead_to_mocks
from tests.platforms.kubernetes.real_registry import running

__all__ = ["moto_url"]
REGISTRY = "127.0.0.1:9/models"
IMAGE = "serving:1"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def bucket(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `modelstack:kubernetes.bucket` says of one that is there."""
    lead_to_mocks(monkeypatch)
    name = f"models-{uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=moto_url).create_bucket(Bucket=name)
    return {"name": name, "endpoint": moto_url, "region": "us-east-1"}


@pytest.fixture
def stack(sealed: SealedPackage, bucket: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Stack:
    return stack_of(sealed, REGISTRY, monkeypatch, image=IMAGE, bucket=bucket)


def of_bucket(stack: Stack) -> tuple[Any, dict[str, str]]:
    """A client of the stack's bucket, and the words that name the archive in it."""
    name, _, key = stack.package.archive_uri.removeprefix("s3://").partition("/")
    return boto3.client("s3", endpoint_url=stack.target.outputs["bucket"]["endpoint"]), {"Bucket": name, "Key": key}


def test_the_lineage_of_a_package_in_a_bucket_is_proven(stack: Stack) -> None:
    graph = read(stack.target)
    assert (graph.package, graph.unread) == (stack.package.package_digest, ())
    assert [node.facts["verified"] for node in graph.nodes if node.kind == "key"] == [True]
    archives = [node.facts["archive"] for node in graph.nodes if node.kind == "version"]
    assert archives == [f"s3://{stack.target.outputs['bucket']['name']}/packages/{graph.package[7:]}/model.tar.gz"]


def test_what_another_key_has_signed_is_not_believed(stack: Stack) -> None:
    other = stack.told(signing_key=KeyPair.new().public_key.decode())
    assert ["is not signed with the key" in line for line in read(other).unread] == [True]
    with pytest.raises(OperatorError, match=r"is not to be believed: .* is not signed with the key"):
        reproduce.facts_of(other, stack.id)


def test_it_is_reproduced_by_any_of_its_names_and_compared_with_the_archive(stack: Stack, tmp_path: Path) -> None:
    digest = stack.package.package_digest
    facts = reproduce.facts_of(stack.target, digest)
    assert reproduce.facts_of(stack.target, stack.id) == facts
    assert reproduce._members_of_then(stack.target, facts, tmp_path / "then")
    s3, archive = of_bucket(stack)
    s3.delete_object(**archive)
    assert reproduce._members_of_then(stack.target, facts, tmp_path / "gone") is None


def test_a_release_whose_archive_is_there_may_be_restored(stack: Stack) -> None:
    assert _verified(stack.target, stack.deployment) == stack.package.archive_uri


def test_one_that_is_gone_is_told_with_what_may_help(stack: Stack) -> None:
    s3, archive = of_bucket(stack)
    s3.delete_object(**archive)
    with pytest.raises(OperatorError, match=r"cannot be restored: s3://.*/model.tar.gz is gone\.") as caught:
        _verified(stack.target, stack.deployment)
    where = f"--prefix {archive['Key'].removesuffix('model.tar.gz')} --endpoint-url {s3.meta.endpoint_url}"
    assert f"aws s3api list-object-versions --bucket {archive['Bucket']} {where}" in str(caught.value)
    assert "so the bucket or somebody did" in str(caught.value)
    assert "modelstack reproduce" in str(caught.value.hint)


def test_one_that_was_changed_is_refused_and_told_how_it_comes_back(stack: Stack) -> None:
    s3, archive = of_bucket(stack)
    s3.put_object(**archive, Body=b"other bytes")
    with pytest.raises(OperatorError, match=r"is not restored, nothing of it was run: .* was changed after") as caught:
        _verified(stack.target, stack.deployment)
    assert f"--bucket {archive['Bucket']} --prefix packages/" in str(caught.value.hint)
    assert "registry" not in str(caught.value.hint)


def without_keys(stack: Stack, patched: pytest.MonkeyPatch) -> Target:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patched.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        patched.setenv(name, "/nowhere")
    patched.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return stack.target


def at_the_wrong_endpoint(stack: Stack, _: pytest.MonkeyPatch) -> Target:
    return stack.told(bucket={**stack.target.outputs["bucket"], "endpoint": NOWHERE})


def in_a_bucket_that_is_not_there(stack: Stack, _: pytest.MonkeyPatch) -> Target:
    return stack.told(bucket={**stack.target.outputs["bucket"], "name": "nowhere"})


@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        (without_keys, r"bucket models-\w+ at http://127.0.0.1:\d+: there are no AWS credentials to ask with"),
        (
            at_the_wrong_endpoint,
            f"bucket models-\\w+ at {NOWHERE} does not answer: .*modelstack:kubernetes.bucket.endpoint is its",
        ),
        (in_a_bucket_that_is_not_there, r"bucket nowhere at http://\S+ is not there \(NoSuchBucket: "),
    ],
)
def test_a_bucket_that_cannot_be_asked_is_no_proof_of_anything(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, spoiled: Callable[[Stack, pytest.MonkeyPatch], Target], said: str
) -> None:
    target = spoiled(stack, monkeypatch)
    with pytest.raises(OperatorError, match=f"^looking at the package sha256:[0-9a-f]+: {said}") as restored:
        _verified(target, stack.deployment)
    assert restored.value.hint is None, "it was not changed, so nothing is to be brought back"
    with pytest.raises(OperatorError, match=f"^looking for sha256:[0-9a-f]+: {said}"):
        reproduce.facts_of(target, stack.package.package_digest)
    with pytest.raises(OperatorError, match=f"^reading the signatures of sha256:[0-9a-f]+: {said}"):
        reproduce.facts_of(target, stack.id)
    graph = read(target)
    (unread,) = graph.unread
    assert "the documents of sha256:" in unread
    assert [node.kind for node in graph.nodes if node.kind in ("version", "endpoint")], "the rest is shown"


def test_a_comment_on_a_pull_request_reads_the_champion_from_the_bucket(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    champion = platform_of(stack.target).state().champion
    assert champion is not None
    found = fetched(champion.as_dict(), tmp_path / "champion", partial(bring, stack.target))
    assert found.package.digest == champion.package_digest
    nowhere = at_the_wrong_endpoint(stack, monkeypatch)
    with pytest.raises(OperatorError, match=f"bucket models-\\w+ at {NOWHERE} does not answer"):
        fetched(champion.as_dict(), tmp_path / "away", partial(bring, nowhere))


def test_it_reads_what_another_stack_has_in_its_own_bucket(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    champion = platform_of(stack.target).state().champion
    assert champion is not None
    source = {**champion.as_dict(), "context": "other", "bucket": stack.target.outputs["bucket"]}
    for taking in (stack.told(bucket=None), at_the_wrong_endpoint(stack, monkeypatch)):
        bring(taking, source, tmp_path / "taken")
        assert (tmp_path / "taken").stat().st_size
    bring(Target("prod", "e", "us-east-1", {}), source, tmp_path / "on AWS")


# A stack that is moved from a registry to a bucket, or back


@pytest.mark.needs("registry")
def test_what_was_put_into_the_registry_is_found_by_a_stack_that_names_a_bucket_now(
    sealed: SealedPackage, bucket: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with running(tmp_path / "registry") as host:
        before = stack_of(sealed, f"{host}/models", monkeypatch, image=IMAGE)
        assert before.package.archive_uri.startswith("oci://")
        found_all_over(before, before.told(bucket=bucket), tmp_path)


def test_what_was_put_into_a_bucket_is_found_by_a_stack_that_names_another_one_now(
    stack: Stack, moto_url: str, tmp_path: Path
) -> None:
    boto3.client("s3", endpoint_url=moto_url).create_bucket(Bucket="newer")
    found_all_over(stack, stack.told(bucket={**stack.target.outputs["bucket"], "name": "newer"}), tmp_path)


@pytest.mark.needs("registry")
def test_what_was_put_into_a_bucket_is_found_by_a_stack_that_names_none_now(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", stack.target.outputs["bucket"]["endpoint"])
    with running(tmp_path / "registry") as host:
        now = stack.told(bucket=None, registry=f"{host}/models")
        found_all_over(stack, now, tmp_path)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", NOWHERE)
        with pytest.raises(OperatorError, match=f"at {NOWHERE}, as the stack names no bucket now, does not answer"):
            _verified(now, stack.deployment)


def found_all_over(before: Stack, now: Target, folder: Path) -> None:
    """See that every command finds the package where it was put."""
    digest = before.package.package_digest
    assert _verified(now, before.deployment) == before.package.archive_uri
    assert reproduce.facts_of(now, digest).package.digest == digest
    assert read(now).unread == ()
    champion = platform_of(now).state().champion
    assert champion is not None
    bring(now, champion.as_dict(), folder / "champion")
    platform_of(now).package_store().fetch(digest, folder / "then")
    gone = replace(before, package=replace(before.package, package_digest=f"sha256:{'0' * 64}"))
    with pytest.raises(OperatorError, match="is gone"):
        _verified(now, gone.deployment)
