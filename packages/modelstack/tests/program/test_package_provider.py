"""The package's provider: what makes it work, what it refuses, and what it never deletes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from pulumi.runtime import rpc

import modelstack.pipeline.build
import modelstack.pipeline.recipe
import modelstack.services.package_registry
from modelstack.pipeline.gate import GateRefused, Miss, gate
from modelstack.pipeline.pack import Registered
from modelstack.pipeline.recipe import Recipe, canonical
from modelstack.pipeline.step import StepFailed
from modelstack.platforms.aws import lineage
from modelstack.platforms.aws import package_registry as aws_registry
from modelstack.platforms.s3.package_store import BucketPackageStore
from modelstack.program.providers.package import PackageProvider
from modelstack.program.providers.packaging import _by_step
from modelstack.program.providers.progress import Progress
from modelstack.records.lineage.graph import Verb
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.rollout.core.release import release_id
from modelstack.services.sealed_packages import RegistryError, Unsigned
from tests.records.provenance.conftest import FACTS

REGISTERED = Registered(
    model_package_arn="arn:1",
    archive_uri="s3://bucket/packages/d/model.tar.gz",
    package_digest="sha256:d",
    manifest_sha256="m",
    recipe="r",
    image_uri="image",
    metrics={"auc": 0.7},
)
INPUTS: dict[str, Any] = {
    "recipe": "r",
    "parameters": {"max_iter": 60.0, "learning_rate": 0.1},
    "gates": {"auc": {"min": 0.6}},
    "bucket": "bucket",
    "group": "group",
    "region": "us-east-1",
    "image_uri": "image",
    "signing_key": "arn:key",
    "retain": False,
    "urn": "urn",
}
CANDIDATE = {
    "recipe": "r",
    "package_digest": "sha256:d",
    "archive_uri": "s3://bucket/packages/d/model.tar.gz",
    "manifest_sha256": "m",
    "model_package_arn": "arn:1",
}
SOURCE = {
    "platform": "aws", "package_digest": "sha256:d", "archive_uri": "s3://o/x", "model_package_arn": "arn:o",
    "region": "us-east-1",
}  # fmt: skip
KEY = KeyPair.new()
SOURCE["signed_by"] = KEY.public_key.decode()


@dataclass
class SageMaker:
    arns: list[str] = field(default_factory=lambda: ["arn:1", "arn:2"])
    gone: bool = False

    def describe_model_package(self, ModelPackageName: str) -> dict[str, Any]:
        if self.gone:
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
        if ModelPackageName not in self.arns:
            raise ClientError({"Error": {"Code": "ValidationException", "Message": "no such"}}, "DescribeModelPackage")
        return {"CreationTime": datetime(2026, 3, 1, tzinfo=UTC)}

    def delete_model_package(self, ModelPackageName: str) -> None:
        self.arns.remove(ModelPackageName)

    def get_paginator(self, operation: str) -> SageMaker:
        assert operation == "list_model_packages"
        return self

    def paginate(self, ModelPackageGroupName: str) -> list[dict[str, Any]]:
        assert ModelPackageGroupName == "group"
        return [{"ModelPackageSummaryList": [{"ModelPackageArn": arn}]} for arn in self.arns]


@dataclass
class Registry:
    """Replaces the pipeline; records what it built, copied and took, or fails."""

    sagemaker: SageMaker = field(default_factory=SageMaker)
    built: list[dict[str, Any]] = field(default_factory=list)
    copied: list[Any] = field(default_factory=list)
    taken: list[tuple[Any, str]] = field(default_factory=list)
    fails: Exception | None = None

    def release(self, root: Path, recipe: Recipe, gates: Any, *, here: Any, progress: Any) -> Registered:
        assert here.keys() == {"sign", "register"}
        if self.fails:
            raise self.fails
        self.built.append(recipe.parameters)
        return REGISTERED

    def copy(self, source: Any, theirs: Any, place: Any, gates: Any) -> Registered:
        return self._registered(self.copied, source, gates)

    def take(self, candidate: Any, recipe: str, place: Any, gates: Any) -> Registered:
        return self._registered(self.taken, (candidate, recipe), gates)

    def _registered(self, into: list[Any], item: Any, gates: Any) -> Registered:
        if self.fails:
            raise self.fails
        gate(REGISTERED.metrics, gates)
        into.append(item)
        return REGISTERED


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = Registry()
    monkeypatch.setattr(modelstack.pipeline.build, "release", made.release)
    monkeypatch.setattr(
        modelstack.pipeline.recipe,
        "recipe",
        lambda root, parameters: Recipe("r", {"parameters": canonical(parameters)}),
    )
    monkeypatch.setattr(modelstack.services.package_registry, "copy", made.copy)
    monkeypatch.setattr(modelstack.services.package_registry, "take", made.take)
    monkeypatch.setattr(aws_registry, "KmsSigner", lambda clients, key: KEY)
    monkeypatch.setattr(aws_registry, "clients_of", lambda region, role=None: lambda service: made.sagemaker)
    return made


def create(**changes: Any) -> dict[str, Any]:
    return PackageProvider().create({**INPUTS, **changes}).outs or {}


def test_whole_numbers_of_the_config_are_whole_numbers_again(registry: Registry) -> None:
    create()
    assert registry.built == [{"max_iter": 60, "learning_rate": 0.1}]
    assert isinstance(registry.built[0]["max_iter"], int)


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (GateRefused([Miss("auc", 0.58, "min", 0.6)], ["auc"]), "0.58"),
        (RegistryError("its bytes were changed"), "its bytes were changed"),
        (ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject"), "AccessDenied"),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), "127.0.0.1:1"),
        (OSError(28, "No space left on device"), "No space left"),
    ],
)
def test_what_cannot_be_released_is_an_outcome_with_its_reason(
    registry: Registry, failure: Exception, told: str
) -> None:
    registry.fails = failure
    outs = create()
    assert told in outs["refused"]
    assert outs["package_digest"] is None
    assert told in create(source=SOURCE)["refused"]
    assert told in create(candidate=CANDIDATE)["refused"]


def test_a_local_cloud_that_has_gone_is_named_with_what_to_type(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    registry.fails = EndpointConnectionError(endpoint_url="http://127.0.0.1:4566/bucket/key")
    told = "the local cloud at http://127.0.0.1:4566 does not answer. Start it, and go on from here, with: make up"
    assert create()["refused"].startswith(told)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert create()["refused"].startswith("Could not connect to the endpoint URL")


def test_what_fails_in_a_step_is_told_with_its_step(registry: Registry) -> None:
    registry.fails = StepFailed("evaluate", "failed: RuntimeError: no luck", last=["half way"])
    assert create()["refused"] == "evaluate failed: RuntimeError: no luck\n  its last lines:\n    half way"
    registry.fails = OSError(28, "No space left on device")
    registry.fails.add_note("register failed")
    assert create()["refused"] == "register failed: [Errno 28] No space left on device"


def test_each_step_is_shown_as_it_begins_however_soon_after_the_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(Progress, "_log", lambda self, text, passing: shown.append(text))
    told = _by_step(Progress("urn", "nowhere"))
    for line in ("data: find", "data: recipe", "train: fit", "train: read", "train: read", "seal: seal"):
        told(line)
    assert shown == ["data: find", "train: fit", "seal: seal"]


def test_bug_is_not_taken_for_a_refusal(registry: Registry) -> None:
    registry.fails = KeyError("x")
    with pytest.raises(KeyError):
        create()


def test_checkout_that_changed_meanwhile_is_refused(registry: Registry) -> None:
    assert "changed since this update began" in create(recipe="another")["refused"]
    assert registry.built == []


def test_source_is_copied_with_its_stacks_key_and_nothing_is_trained(registry: Registry) -> None:
    assert create(source=SOURCE, candidate=CANDIDATE)["package_digest"] == "sha256:d"
    assert (registry.built, registry.taken) == ([], []), "a stack that takes from another takes no candidate"
    (copied,) = registry.copied
    assert (copied.package_digest, copied.signed_by) == ("sha256:d", KEY.public_key)


@pytest.mark.parametrize("more", [{"source": SOURCE}, {"candidate": CANDIDATE}])
def test_what_is_taken_is_held_to_the_gates_of_this_update(registry: Registry, more: dict[str, Any]) -> None:
    outs = create(**more, gates={"auc": {"min": 0.9}})
    assert "0.7000" in outs["refused"]
    assert outs["package_digest"] is None
    assert (registry.copied, registry.taken) == ([], [])


def test_candidate_of_the_recipe_is_taken_and_nothing_is_trained(registry: Registry) -> None:
    outs = create(candidate=CANDIDATE)
    assert (outs["package_digest"], outs["model_package_arn"], outs["refused"]) == ("sha256:d", "arn:1", "")
    assert outs["metrics"] == {"auc": 0.7}
    ((taken, recipe),) = registry.taken
    assert (taken.archive_uri, taken.package_digest, recipe) == (CANDIDATE["archive_uri"], "sha256:d", "r")
    assert registry.built == []


def test_candidate_of_another_recipe_is_left_and_the_package_is_trained(registry: Registry) -> None:
    assert create(candidate={**CANDIDATE, "recipe": "another"})["package_digest"] == "sha256:d"
    assert registry.taken == []
    assert len(registry.built) == 1


def test_candidate_from_before_packages_were_signed_is_built_again_and_signed(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsigned(*_: Any) -> Registered:
        raise Unsigned("s3://bucket is not signed")

    monkeypatch.setattr(modelstack.services.package_registry, "take", unsigned)
    outs = create(candidate=CANDIDATE)
    assert (outs["package_digest"], outs["refused"]) == ("sha256:d", "")
    assert len(registry.built) == 1


@pytest.mark.parametrize("fails", [None, RegistryError("no")])
def test_key_of_the_stack_is_told_even_of_a_package_that_is_refused(
    registry: Registry, fails: Exception | None
) -> None:
    registry.fails = fails
    assert create()["signed_by"] == KEY.public_key.decode()


MADE = {**INPUTS, "package_digest": "sha256:d", "model_package_arn": "arn:1", "refused": ""}


@pytest.mark.parametrize(
    ("olds", "news", "changes"),
    [
        ({}, {}, False),
        ({}, {"recipe": "another"}, True),
        ({}, {"bucket": "other"}, True),
        ({}, {"gates": {"auc": {"min": 0.7}}}, True),
        ({}, {"source": SOURCE}, True),
        ({}, {"candidate": CANDIDATE}, False),
        ({"candidate": CANDIDATE}, {"candidate": None}, False),
        ({}, {"candidate": {**CANDIDATE, "recipe": "s"}, "recipe": "s"}, True),
        ({"refused": "below its gates"}, {}, True),
        ({}, {"image_uri": "another"}, True),
        ({}, {"bucket": rpc.UNKNOWN}, False),
        ({}, {"signing_key": "arn:other"}, True),
        ({"signing_key": None}, {"signing_key": rpc.UNKNOWN}, True),
    ],
)
def test_package_is_made_anew_for_another_recipe_or_image_only(
    olds: dict[str, Any], news: dict[str, Any], changes: bool
) -> None:
    result = PackageProvider().diff("group", {**MADE, **olds}, {**INPUTS, **news})
    assert (result.changes, result.replaces) == (changes, ["bucket"] if news.get("bucket") == "other" else [])


def test_package_that_somebody_deleted_is_noticed_by_a_refresh(registry: Registry) -> None:
    assert PackageProvider().read("group", MADE).id == "group"
    registry.sagemaker.arns.remove("arn:1")
    assert PackageProvider().read("group", MADE).id is None


@pytest.fixture
def proven(monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = type("Evidence", (), {"verify": lambda self, digest, key: FACTS})()
    monkeypatch.setattr(BucketPackageStore, "evidence", lambda store, uri, key: evidence)


@pytest.mark.usefixtures("proven")
@pytest.mark.parametrize(
    ("more", "promoted_from"), [({}, []), ({"source": SOURCE}, ["arn:o"]), ({"candidate": CANDIDATE}, [])]
)
def test_the_lineage_is_written_whichever_way_a_package_came(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], promoted_from: list[str]
) -> None:
    written: list[Any] = []
    monkeypatch.setattr(lineage, "write", lambda *given: written.append(given))
    create(**more)
    ((graph, _, prefix),) = written
    version = graph.node("arn:1")
    known = {"archive": REGISTERED.archive_uri, "image": "image", "release": release_id(FACTS.recipe.digest, "image")}
    assert known.items() <= version.facts.items()
    assert [one.id for one in graph.sources(version, Verb.PROMOTED)] == promoted_from
    assert (graph.package, prefix) == ("sha256:d", "group")
    assert graph.of("recipe")[0].facts["digest"] == FACTS.recipe.digest


@pytest.mark.usefixtures("proven")
def test_a_lineage_that_fails_refuses_no_package_and_is_told(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    monkeypatch.setattr(lineage, "write", fails)
    outs = create()
    assert (outs["package_digest"], outs["refused"]) == ("sha256:d", "")
    assert "SageMaker's lineage is not complete: " in capsys.readouterr().err


def test_registry_that_does_not_answer_a_refresh_is_told_without_what_led_to_it(registry: Registry) -> None:
    registry.sagemaker.gone = True
    with pytest.raises(RuntimeError, match=r"Could not connect.*127\.0\.0\.1:1") as caught:
        PackageProvider().read("group", MADE)
    assert caught.value.__suppress_context__


def test_destroy_empties_the_group_unless_packages_are_retained(registry: Registry) -> None:
    PackageProvider().delete("group", {**MADE, "retain": True})
    assert len(registry.sagemaker.arns) == 2
    PackageProvider().delete("group", MADE)
    assert registry.sagemaker.arns == []
