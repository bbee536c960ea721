from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import boto3
import pytest

from modelstack.pipeline.pack import SealedPackage
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.buckets import BucketError, check
from modelstack.platforms.kubernetes.kinds import PACKAGE
from modelstack.platforms.kubernetes.package_store import ClusterPackageStore
from modelstack.platforms.kubernetes.versions import ModelPackages
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.rollout.core.errors import Unreachable
from modelstack.services.package_registry import PackageRegistry, ReleaseRecord, publish, take, verify_past
from modelstack.services.package_registry import check as check_package
from modelstack.services.sealed_packages import Gone, RegistryError
from tests.cli.registered import ClusterApi
from tests.listening import Quiet, listening
from tests.pipeline.conftest import moto_url
from tests.platforms.aws.mocked import lead_to_mocks
from tests.platforms.kubernetes.real_registry import running

__all__ = ["moto_url"]
DIGEST = "sha256:" + "d" * 64
KEY = KeyPair.new()


def settings(endpoint: str | None, name: str = "models") -> dict[str, Any]:
    return {"name": name, "endpoint": endpoint, "region": "us-east-1"}


@pytest.fixture
def bucket(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    lead_to_mocks(monkeypatch)
    name = f"models-{uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=moto_url).create_bucket(Bucket=name)
    return settings(moto_url, name)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    with running(tmp_path / "registry") as host:
        yield f"{host}/models"


def registry_of(store: ClusterPackageStore, api: ClusterApi) -> PackageRegistry:
    versions = ModelPackages(cast(Api, api), "flight-delay-prod", "flight-delay-prod-1")
    return PackageRegistry(store, versions, "serving:1", KEY)


def test_a_bucket_is_asked_before_anything_is_made_for_it(bucket: dict[str, Any]) -> None:
    check(bucket)
    with pytest.raises(BucketError, match=r"nowhere at .* is not there .*bucket of the stack: its name"):
        check({**bucket, "name": "nowhere"})
    with pytest.raises(BucketError, match="does not answer"):
        check({**bucket, "endpoint": "http://127.0.0.1:1"})


def test_a_package_that_is_in_none_of_its_places_is_gone(bucket: dict[str, Any], tmp_path: Path) -> None:
    store = ClusterPackageStore("registry.example/models", bucket)
    uri = store.uri(DIGEST)
    assert uri == f"s3://{bucket['name']}/packages/{DIGEST[7:]}/model.tar.gz"
    with pytest.raises(Gone, match=f"^{uri} and {uri} are gone.* so its store or somebody did"):
        verify_past(store, [uri, uri], DIGEST, "serving:1", KEY.public_key)
    with pytest.raises(RegistryError, match=f"cannot read {uri}: .*NoSuchKey") as caught:
        store.fetch(uri, DIGEST, tmp_path / "copy")
    assert not isinstance(caught.value, BucketError), "the bucket has answered"


def test_without_a_bucket_packages_go_to_the_registry_and_no_sdk_is_asked() -> None:
    store = ClusterPackageStore("registry.example/models")
    assert store.uri(DIGEST) == f"oci://registry.example/models/packages@{DIGEST}"


@pytest.mark.needs("registry")
@pytest.mark.parametrize("to", ["bucket", "registry"])
def test_a_release_that_is_restored_is_taken_from_the_other_kind_of_store_into_this_one(
    sealed: SealedPackage, registry: str, bucket: dict[str, Any], to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the stack was moved, with `bucket` in its config or without, before the update that restores it."""
    stores = [ClusterPackageStore(registry), ClusterPackageStore(registry, bucket)]
    before, now = stores if to == "bucket" else stores[::-1]
    if to == "registry":
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", str(bucket["endpoint"]))
    api = ClusterApi()
    first = publish(sealed, registry_of(before, api))
    restored = ReleaseRecord(first.archive_uri, first.package_digest, "", KEY.public_key)
    taken = take(restored, sealed.recipe, registry_of(now, api))
    assert taken.archive_uri == now.uri(sealed.digest)
    assert taken.archive_uri.startswith("s3://" if to == "bucket" else "oci://")
    assert [one["spec"]["archive"] for one in api.list(PACKAGE)] == [first.archive_uri], "what was registered stays"
    for uri in (first.archive_uri, taken.archive_uri):
        check_package(ReleaseRecord(uri, sealed.digest, "", KEY.public_key), now)


@pytest.mark.parametrize(
    ("uri", "kind", "words"),
    [
        (
            f"s3://models/packages/{'d' * 64}/model.tar.gz",
            "bucket",
            f"--bucket models --prefix packages/{'d' * 64}/ --endpoint-url http://minio:9000",
        ),
        (f"oci://registry.example/models/packages@{DIGEST}", "registry", "from the registry's own backup."),
    ],
)
def test_how_an_archive_comes_back_fits_where_it_lay(uri: str, kind: str, words: str) -> None:
    told = ClusterPackageStore("registry.example/models", settings("http://minio:9000")).restoring(uri)
    assert told.endswith(words), "whoever copies the command copies nothing else"
    assert ("registry" if kind == "bucket" else "bucket") not in told
    assert "--endpoint-url" not in ClusterPackageStore("registry.example/models", settings(None)).restoring(uri)


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    class Handler(Quiet):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

    with listening(Handler) as url:
        yield url


def refusal(code: str) -> str:
    return f"<Error><Code>{code}</Code><Message>so it is</Message></Error>"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            403,
            refusal("AccessDenied"),
            r"denies access to the AWS credentials of this shell \(AccessDenied: so it is\)\. They need s3:GetObject",
        ),
        (
            403,
            refusal("InvalidAccessKeyId"),
            r"does not take the AWS credentials of this shell \(InvalidAccessKeyId: so it is\)\. Set those of this",
        ),
        (403, refusal("SignatureDoesNotMatch"), "does not take the AWS credentials of this shell"),
        (
            404,
            refusal("NoSuchBucket"),
            r"is not there \(NoSuchBucket: so it is\)\. See modelstack:kubernetes\.bucket of the stack",
        ),
        (
            400,
            refusal("AuthorizationHeaderMalformed"),
            "is in another region than modelstack:kubernetes.bucket.region says",
        ),
        (404, "<html>not found</html>", r"answers otherwise than S3 does \(HTTP 404\)\. See whether"),
        (405, "", r"answers otherwise than S3 does \(405: .*kubernetes\.bucket\.endpoint is its address"),
    ],
)
def test_a_bucket_that_refuses_is_told_in_plain_words_whatever_is_asked_of_it(
    sealed: SealedPackage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, status: int, body: str, said: str
) -> None:
    lead_to_mocks(monkeypatch)
    with answering(status, body) as url:
        store = ClusterPackageStore("registry.example/models", settings(url))
        uri = store.uri(DIGEST)
        for ask in (
            lambda: store.has(uri),
            lambda: store.signers(uri),
            lambda: store.fetch(uri, DIGEST, tmp_path / "copy"),
            lambda: store.put(sealed),
        ):
            with pytest.raises(BucketError, match=f"^bucket models at {url}:? {said}") as caught:
                ask()
            assert isinstance(caught.value, Unreachable), "nothing is known of what lies there"


@pytest.mark.slow
def test_a_bucket_that_is_busy_is_told_as_one_to_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lead_to_mocks(monkeypatch)
    with answering(503, refusal("SlowDown")) as url:
        store = ClusterPackageStore("registry.example/models", settings(url))
        with pytest.raises(BucketError, match=r"does not answer now \(SlowDown: so it is\)\. Try again a little later"):
            store.has(store.uri(DIGEST))


def test_keys_of_a_profile_that_is_not_there_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    lead_to_mocks(monkeypatch, AWS_PROFILE="nobody", AWS_CONFIG_FILE="/nowhere", AWS_SHARED_CREDENTIALS_FILE="/nowhere")
    store = ClusterPackageStore("registry.example/models", settings("http://127.0.0.1:9"))
    with pytest.raises(BucketError, match=r"there are no AWS credentials to ask with \(.*nobody.*\)\. Set AWS_ACCESS"):
        store.has(store.uri(DIGEST))
