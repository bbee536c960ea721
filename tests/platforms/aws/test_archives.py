"""Is what a past release needs still there, and what is said when it is not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.pack import SealedPackage
from platforms.aws.archives import Gone, kept
from platforms.aws.clients import Clients
from platforms.aws.objects import RegistryError
from platforms.aws.registry import publish
from platforms.aws.signatures import Unsigned
from provenance.key_pair import KeyPair
from tests.platforms.aws.mocked import mocked_aws
from tests.platforms.aws.sealing import put

BUCKET, GROUP = "artifacts", "packages"
PROCESS = "123456789012.dkr.ecr.us-east-1.amazonaws.com/serving:process"
RULE = {
    "ID": "versions",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "NoncurrentVersionExpiration": {"NoncurrentDays": 90},
}
TYPE = "application/vnd.oci.image.manifest.v1+json"
KEY = KeyPair.new()


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    with mocked_aws(monkeypatch) as make:
        s3 = make("s3")
        s3.create_bucket(Bucket=BUCKET)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [RULE]})
        make("sagemaker").create_model_package_group(ModelPackageGroupName=GROUP)
        yield make


@pytest.fixture
def uri(sealed: SealedPackage, clients: Clients) -> str:
    place: dict[str, Any] = {"bucket": BUCKET, "group": GROUP, "image": PROCESS}
    return publish(sealed, **place, clients=clients, signer=KEY).archive_uri


def looked_at(clients: Clients, sealed: SealedPackage, image: str = PROCESS, key: KeyPair = KEY) -> str:
    return kept(clients, sealed.digest, image, bucket=BUCKET, signed_by=key.public_key)


def test_an_archive_that_is_there_and_signed_is_found(sealed: SealedPackage, clients: Clients, uri: str) -> None:
    assert looked_at(clients, sealed) == uri


def test_one_that_was_deleted_is_told_with_the_rule_until_when_and_how_it_comes_back(
    sealed: SealedPackage, clients: Clients, uri: str
) -> None:
    s3, key = clients("s3"), uri.partition(f"{BUCKET}/")[2]
    s3.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(Gone, match=r"was deleted on \S+; rule `versions` .*versions_days: 90\) keeps it until") as told:
        looked_at(clients, sealed)
    command = str(told.value).rpartition("brings it back: ")[2].split()
    assert command[:3] == ["aws", "s3api", "delete-object"]
    given = dict(zip(command[3::2], command[4::2], strict=True))
    s3.delete_object(Bucket=given["--bucket"], Key=given["--key"], VersionId=given["--version-id"])
    assert looked_at(clients, sealed) == uri, "as the message says"


def test_one_that_is_gone_for_good_is_told_with_the_rule(sealed: SealedPackage, clients: Clients, uri: str) -> None:
    s3, key = clients("s3"), uri.partition(f"{BUCKET}/")[2]
    for one in s3.list_object_versions(Bucket=BUCKET, Prefix=key)["Versions"]:
        s3.delete_object(Bucket=BUCKET, Key=key, VersionId=one["VersionId"])
    with pytest.raises(Gone, match=r"is gone. No rule lets a package expire .* keeps what was deleted for 90 days"):
        looked_at(clients, sealed)


def test_other_bytes_and_another_key_are_refused(sealed: SealedPackage, clients: Clients, uri: str) -> None:
    with pytest.raises(Unsigned):
        looked_at(clients, sealed, key=KeyPair.new())
    put(clients("s3"), uri, b"other bytes")
    with pytest.raises(RegistryError, match="was changed after it was registered"):
        looked_at(clients, sealed)


@pytest.mark.usefixtures("uri")
def test_an_image_that_is_gone_is_told(sealed: SealedPackage, clients: Clients) -> None:
    ecr = clients("ecr")
    ecr.create_repository(repositoryName="serving")
    pushed = ecr.put_image(
        repositoryName="serving", imageManifest='{"schemaVersion": 2}', imageManifestMediaType=TYPE, imageTag="1"
    )["image"]
    there, digest = PROCESS.replace(":process", ":1"), pushed["imageId"]["imageDigest"]
    assert looked_at(clients, sealed, there)
    assert looked_at(clients, sealed, PROCESS.replace(":process", f"@{digest}"))
    other = hashlib.sha256(b"").hexdigest()
    with pytest.raises(Gone, match=r"the serving image .* is gone"):
        looked_at(clients, sealed, PROCESS.replace(":process", f"@sha256:{other}"))
    assert looked_at(clients, sealed, "public.ecr.aws/somebody/else:1"), "is not looked for"
