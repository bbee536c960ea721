from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from modelstack.pipeline import archive, origin
from modelstack.pipeline.pack import SealedPackage
from modelstack.platforms.kubernetes import artifacts
from modelstack.platforms.kubernetes.oci import MANIFEST_TYPE, OciError, OciRepository
from modelstack.platforms.kubernetes.packages import member
from modelstack.platforms.kubernetes.registry_store import RegistryPackageStore, refer
from modelstack.records.provenance.envelope import SignatureError
from modelstack.records.provenance.evidence import MODEL, PROVENANCE, sign
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.rollout.core.errors import RolloutError, Unreachable
from modelstack.services.package_registry import PackageRegistry, ReleaseRecord, check, publish
from modelstack.services.sealed_packages import REFERENCE, Unsigned
from tests.platforms.kubernetes.real_registry import running
from tests.rollout.worlds import release as make_release
from tests.services.memory import MemoryDocuments
from tests.toy_platform.toy_platform import ToyVersions

pytestmark = pytest.mark.needs("registry")

KEY = KeyPair.new()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("registry")) as one:
        yield one


@pytest.fixture
def store(host: str) -> RegistryPackageStore:
    return RegistryPackageStore(OciRepository.of(f"{host}/{uuid4().hex[:12]}"))


def published(sealed: SealedPackage, store: RegistryPackageStore) -> ReleaseRecord:
    made = publish(sealed, PackageRegistry(store, ToyVersions(MemoryDocuments()), "image", KEY))
    return ReleaseRecord(made.archive_uri, made.package_digest, "", KEY.public_key)


def tag_of(sealed: SealedPackage) -> str:
    return sealed.digest.removeprefix("sha256:")


def test_other_tools_find_the_archive_and_its_members_by_their_titles(
    sealed: SealedPackage, store: RegistryPackageStore
) -> None:
    assert published(sealed, store).archive_uri == f"oci://{store.registry.place}@{sealed.digest}"
    manifest = store.registry.manifest(tag_of(sealed))
    assert manifest is not None
    value = manifest.value()
    assert value["artifactType"] == "application/vnd.modelstack.package.v1"
    assert value["layers"][0]["digest"] == sealed.digest
    members, files = archive.documents(sealed.path), artifacts.files_of(manifest)
    assert files.keys() == members.keys() | {"model.tar.gz"}
    assert all(store.registry.read(files[name]) == content for name, content in members.items())


def test_a_member_is_read_by_its_digest_and_without_the_archive(
    sealed: SealedPackage, store: RegistryPackageStore
) -> None:
    uri = published(sealed, store).archive_uri
    release = replace(make_release("a"), archive_uri=uri, manifest_sha256=sealed.manifest_sha256)
    assert member(release, REFERENCE) == archive.read(sealed.path, REFERENCE)
    assert member(release, "nothing.json") is None
    with pytest.raises(RolloutError, match="404"):
        member(replace(release, manifest_sha256="0" * 64), REFERENCE)
    with pytest.raises(Unreachable):
        member(replace(release, archive_uri=f"oci://127.0.0.1:1/m@{sealed.digest}"), REFERENCE)
    with pytest.raises(RolloutError, match="expected oci://HOST"):
        member(replace(release, archive_uri="oci://m"), REFERENCE)


def forged(store: RegistryPackageStore, sealed: SealedPackage, **files: bytes) -> None:
    """Add evidence that claims to be signed with the stack's key, by somebody who has another."""
    claimed = sign(origin.facts_of(sealed), KeyPair.new()).files() | files
    subject = store.registry.manifest(tag_of(sealed))
    assert subject is not None
    for content in claimed.values():
        store.registry.put(content)
    content = artifacts.evidence_manifest(claimed, KEY.public_key, subject.content)
    refer(store.registry, content, subject.digest, uuid4().hex)


def test_evidence_that_somebody_adds_neither_counts_nor_hides_what_is_signed(
    sealed: SealedPackage, store: RegistryPackageStore, host: str
) -> None:
    record = published(sealed, store)
    forged(store, sealed)
    forged(store, sealed, **{MODEL: b"{}", PROVENANCE: b""})
    check(record, store)
    alone = RegistryPackageStore(OciRepository.of(f"{host}/{uuid4().hex[:12]}"))
    uri = alone.put(sealed)
    forged(alone, sealed)
    with pytest.raises(SignatureError, match="is not by the key"):
        check(replace(record, archive_uri=uri), alone)


def test_what_a_registry_cleans_up_is_no_package_and_nothing_that_is_signed(
    sealed: SealedPackage, tmp_path: Path
) -> None:
    """`--delete-untagged` of this registry takes what only an index names for waste; and what is lost is made again."""
    clean = ["docker-registry", "garbage-collect", "--delete-untagged", str(tmp_path / "config.yml")]
    with running(tmp_path) as host:
        record = published(sealed, RegistryPackageStore(OciRepository.of(f"{host}/m")))
    subprocess.run(clean, check=True, capture_output=True)
    with running(tmp_path) as host:
        store = RegistryPackageStore(OciRepository.of(f"{host}/m"))
        check(replace(record, archive_uri=store.uri(sealed.digest)), store)
    (signed,) = tmp_path.rglob(f"tags/{tag_of(sealed)}.*")
    shutil.rmtree(signed)
    subprocess.run(clean, check=True, capture_output=True)
    with running(tmp_path) as host:
        store = RegistryPackageStore(OciRepository.of(f"{host}/m"))
        lost = replace(record, archive_uri=store.uri(sealed.digest))
        with pytest.raises(Unsigned):
            check(lost, store)
        store.put_evidence(sign(origin.facts_of(sealed), KEY), sealed, KEY.public_key)
        check(lost, store)


def test_a_tag_that_was_moved_to_something_else_is_reported(sealed: SealedPackage, store: RegistryPackageStore) -> None:
    record = published(sealed, store)
    empty = json.loads(artifacts.package_manifest("sha256:" + "0" * 64, 1, {})) | {"layers": []}
    store.registry.put_manifest(json.dumps(empty).encode(), MANIFEST_TYPE, tag_of(sealed))
    with pytest.raises(OciError, match="somebody has moved the tag"):
        check(record, store)
