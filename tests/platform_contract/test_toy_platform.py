"""A platform of somebody else, which is installed as a package: found by its entry point, and used by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.pack import SealedPackage
from provenance.key_pair import KeyPair
from rollout.core.errors import Conflict
from rollout.core.release import Release, release_id
from services.journal import CopiedJournal, DocumentJournal
from services.package_registry import PackageRegistry, publish
from services.platform_registry import names, platform
from tests.infra.recorded import Answers, World, run_to_its_end
from tests.infra.refusals import load, refusal
from tests.rollout.worlds import PLAN, fresh

IMAGE = "registry.example/serving:1"


def test_it_is_one_of_the_platforms_and_says_what_it_refuses(toy: Any) -> None:
    assert {"aws", "kubernetes", "toy"} <= {*names()}
    assert load("dev", None, platform="toy", rollout={"replay": None}).platform == "toy"
    (refused,) = refusal("dev", None, platform="toy")
    assert "modelstack:rollout.replay" in refused
    assert refused.endswith("nothing is captured here; allowed is null")


def test_without_its_package_the_name_is_not_allowed() -> None:
    (refused,) = refusal("dev", None, platform="toy")
    assert refused.endswith("; installed are aws, kubernetes")


def test_a_stack_on_it_is_what_its_package_declares(toy: Any) -> None:
    world = World(Answers())
    run_to_its_end(world, "local", {"platform": "toy", "rollout": {"replay": None}})
    assert (world.stopped, world.resources) == (None, [])
    assert world.exported["platform"] == "toy"
    assert world.exported["file"].endswith("flight-delay-local.sqlite")


def test_a_package_is_released_on_it(toy: Any, sealed: SealedPackage, tmp_path: Path) -> None:
    file = toy.File(tmp_path / "stack.sqlite")
    documents = toy.ToyDocuments(file)
    store, versions = toy.ToyPackages(toy.ToyBlobs(file), "dev"), toy.ToyVersions(documents)
    package = publish(sealed, PackageRegistry(store, versions, IMAGE, KeyPair.new()))
    name = release_id(package.recipe, IMAGE)
    release = Release(
        *(name, package.recipe, package.package_digest, package.archive_uri, IMAGE, package.manifest_sha256),
        *(package.model_package_arn, f"model-{name}", f"v-{name}", f"solo-{name}", "1"),
    )
    documents.transact([toy.Document("configs", {release.config_name: {release.variant: 1.0}})])
    copy = DocumentJournal(toy.ToyDocuments(toy.File(tmp_path / "copy.sqlite")), "toy")
    journal, traffic = CopiedJournal(DocumentJournal(documents, "toy"), copy), toy.ToyTraffic(documents)
    before = journal.read()
    fresh().controller(journal=journal, traffic=traffic).release(release, None, PLAN)
    assert traffic.read().shares() == {release.variant: 100.0}
    assert journal.read().champion == release
    assert platform("toy").use("champion")("dev", {"file": str(file.path)}, None) == release.as_dict()
    with pytest.raises(Conflict, match="revision 0 any more"):
        journal.write(before)
