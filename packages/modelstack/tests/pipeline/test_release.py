from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modelstack.pipeline.build import GateRefused, release
from modelstack.pipeline.outcome import read
from modelstack.pipeline.pack import Registered, SealedPackage
from modelstack.pipeline.recipe import recipe
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.services.package_registry import PackageRegistry
from modelstack.services.package_store import BlobPackageStore
from modelstack.services.publish_steps import KEY, at
from tests.services.memory import MemoryBlobs, MemoryDocuments
from tests.toy_platform.toy_platform import ToyVersions

pytestmark = pytest.mark.e2e  # it takes a package that was trained

ROOT = Path(__file__).resolve().parents[4]


@dataclass
class Shelf:
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    versions: ToyVersions = field(default_factory=lambda: ToyVersions(MemoryDocuments()))

    @property
    def store(self) -> BlobPackageStore:
        return BlobPackageStore(self.blobs, "toy://shelf")

    @property
    def count(self) -> int:
        return len([*self.versions.list()])


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def key() -> KeyPair:
    return KeyPair.new()


@pytest.fixture
def released(daily: Path, champion: SealedPackage, tmp_path: Path, shelf: Shelf, key: KeyPair) -> Callable[..., Any]:
    """Releases the small model, which was built before; returns the version and the progress lines."""
    shutil.copytree(champion.path.parents[1], tmp_path / "packages" / champion.recipe)
    registry = PackageRegistry(shelf.store, shelf.versions, "image", key)

    def made(root: Path = daily, **gates: Any) -> tuple[Registered, list[str]]:
        said: list[str] = []
        wanted = recipe(root, {})
        return release(root, wanted, gates, tmp_path, here=at(registry), progress=said.append), said

    return made


def test_a_package_is_signed_and_registered_after_its_gate_passed_and_again_without_a_change(
    released: Callable[..., Any], champion: SealedPackage, shelf: Shelf, key: KeyPair, tmp_path: Path
) -> None:
    made, said = released(accuracy={"min": 0.5})
    assert (made.package_digest, made.archive_uri) == (champion.digest, shelf.store.uri(champion.digest))
    assert (made.manifest_sha256, made.image_uri) == (champion.manifest_sha256, "image")
    assert made.metrics == dict(champion.metrics)
    assert list(dict.fromkeys(line.partition(":")[0] for line in said)) == ["gate", "sign", "register"]
    assert shelf.blobs.stored[made.archive_uri] == champion.path.read_bytes()
    assert (
        shelf.store.evidence(made.archive_uri, key.public_key).verify(champion.digest, key.public_key).recipe.digest
        == champion.recipe
    )
    folder = tmp_path / "packages" / champion.recipe
    assert (folder / "sign" / KEY).read_bytes() == key.public_key
    assert read(folder / "register").made_of["sign"] == read(folder / "sign").digest
    assert released(accuracy={"min": 0.5})[0] == made
    assert shelf.count == 1


def test_a_package_below_its_gates_is_neither_signed_nor_registered(released: Callable[..., Any], shelf: Shelf) -> None:
    with pytest.raises(GateRefused, match=r"accuracy +0\.\d+ +min 0\.99"):
        released(accuracy={"min": 0.99})
    assert (shelf.blobs.stored, shelf.count) == ({}, 0)


def test_a_registry_that_is_down_is_named_with_its_step_and_the_next_release_goes_on(
    released: Callable[..., Any], shelf: Shelf, champion: SealedPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> str:
        raise OSError(111, "Connection refused")

    with monkeypatch.context() as patched:
        patched.setattr(ToyVersions, "add", refused)
        with pytest.raises(OSError, match="Connection refused") as failed:
            released()
    assert failed.value.__notes__ == ["register failed"]
    assert (len(shelf.store.signers(shelf.store.uri(champion.digest))), shelf.count) == (1, 0)
    assert released()[0].package_digest == champion.digest
    assert shelf.count == 1
