from __future__ import annotations

import uuid
from typing import Any, cast

import pytest

from modelstack.pipeline.pack import Registered
from modelstack.platforms.kubernetes.answers import Exists
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.kinds import NAMESPACE, PACKAGE, SECRET
from modelstack.platforms.kubernetes.names import labels_of
from modelstack.platforms.kubernetes.signing import key_pair, secret_name
from modelstack.platforms.kubernetes.versions import ModelPackages
from modelstack.records.provenance.evidence import Attestation
from modelstack.rollout.core.errors import Busy, RolloutError
from modelstack.services.sealed_packages import RegistryError
from modelstack.services.versions import PENDING
from tests.platforms.kubernetes.fake_api import FakeApi
from tests.platforms.kubernetes.world import TestClock, World

DIGEST = "sha256:" + "d" * 64
PACKAGED = Registered(
    "", f"oci://r.example/m@{DIGEST}", DIGEST, "m" * 64, "r" * 64, "r.example/s@sha256:1", {"auc": 0.7}
)
SAID = Attestation({}, b"", b"")


class NamedApi(FakeApi):
    def user(self) -> str:
        return "ana"


@pytest.fixture(params=["memory", pytest.param("real", marks=[pytest.mark.needs("apiserver"), pytest.mark.slow])])
def api(request: pytest.FixtureRequest) -> Api:
    if request.param == "memory":
        return cast(Api, NamedApi())
    made = Api(request.getfixturevalue("server").access(), f"models-{uuid.uuid4().hex[:8]}")
    made.create(NAMESPACE, {"metadata": {"name": made.namespace}})
    return made


def versions(api: Api, name: str = "flight-delay-prod-3f0c1a2b4d5e") -> ModelPackages:
    return ModelPackages(api, "flight-delay-prod", name)


def test_a_version_is_an_object_of_the_stack_that_waits_for_approval(api: Api) -> None:
    there = versions(api)
    version = there.add(PACKAGED, SAID, {"promoted_from": "arn:aws:x/1", "trained_by": "arn:aws:sts::1:ada"})
    assert version == f"{api.namespace}/{there.name}"
    made = api.get(PACKAGE, there.name)
    assert made["spec"] == {
        "digest": DIGEST,
        "recipe": PACKAGED.recipe,
        "image": PACKAGED.image_uri,
        "manifestSha256": PACKAGED.manifest_sha256,
        "archive": PACKAGED.archive_uri,
        "metrics": {"auc": 0.7},
    }
    assert made["metadata"]["annotations"].items() >= {
        "modelstack.dev/promoted-from": "arn:aws:x/1", "modelstack.dev/trained-by": "arn:aws:sts::1:ada"
    }.items()  # fmt: skip
    assert made["status"]["approval"] == PENDING == ModelPackages(api).approval(version)
    there.add(PACKAGED, SAID, {})
    assert [one["metadata"]["name"] for one in api.list(PACKAGE, labels_of("flight-delay-prod"))] == [there.name]


def test_a_decision_stays_and_a_status_that_was_never_written_is(api: Api) -> None:
    there = versions(api)
    version = there.add(PACKAGED, SAID, {})
    ModelPackages(api).set_approval(version, "Rejected", "it fails")
    there.add(PACKAGED, SAID, {})
    assert ModelPackages(api).approval(version) == "Rejected"
    cut_off = {"metadata": {"name": "other"}, "spec": dict(api.get(PACKAGE, there.name)["spec"])}
    api.create(PACKAGE, {"apiVersion": "modelstack.dev/v1", "kind": "ModelPackage", **cut_off})
    versions(api, "other").add(PACKAGED, SAID, {})
    assert api.get(PACKAGE, "other")["status"]["approval"] == PENDING


@pytest.mark.parametrize("field", ["package_digest", "image_uri", "recipe"])
def test_a_version_of_other_bytes_under_its_name_is_refused(api: Api, field: str) -> None:
    there = versions(api)
    there.add(PACKAGED, SAID, {})
    values: dict[str, Any] = {**vars(PACKAGED), field: "sha256:" + "e" * 64}
    with pytest.raises(RegistryError, match=f"ModelPackage {api.namespace}/{there.name} has .*, expected sha256:eee"):
        there.add(Registered(**values), SAID, {})


def test_two_updates_at_once_make_one_version(monkeypatch: pytest.MonkeyPatch) -> None:
    api = NamedApi()
    create = api.create

    def late(*given: Any, **named: Any) -> None:
        create(*given, **named)
        raise Exists("a moment ago")

    monkeypatch.setattr(api, "create", late)
    versions(cast(Api, api)).add(PACKAGED, SAID, {})
    assert [one["status"]["approval"] for one in api.list(PACKAGE)] == [PENDING]


def test_the_key_of_a_stack_is_made_once_and_cannot_be_changed(api: Api) -> None:
    name = secret_name("flight-delay-prod")
    first = key_pair(api, name, labels_of("flight-delay-prod"))
    assert key_pair(api, name).pem() == first.pem()
    if isinstance(api, FakeApi):
        return
    with pytest.raises(RolloutError, match="immutable"):
        api.apply(SECRET, {"metadata": {"name": name}, "data": {"key.pem": "eA=="}}, "somebody", force=True)


@pytest.fixture
def registry(world: World) -> ModelPackages:
    world.package("p-1")
    return ModelPackages(world.api, clock=TestClock())


def name(world: World) -> str:
    return f"{world.api.namespace}/p-1"


def test_a_verdict_stands_with_its_reason_and_time(world: World, registry: ModelPackages) -> None:
    assert registry.approval(name(world)) == "PendingManualApproval"
    registry.set_approval(name(world), "Rejected", "errors worse:\n3.1% of 1,904")
    assert registry.approval(name(world)) == "Rejected"
    status = world.api.get(PACKAGE, "p-1")["status"]
    assert status["why"] == "errors worse: 3.1% of 1,904"
    assert status["at"].endswith("Z")


def test_the_same_verdict_is_not_written_again(world: World, registry: ModelPackages) -> None:
    registry.set_approval(name(world), "Approved", "not worse")
    before = world.api.get(PACKAGE, "p-1")
    registry.set_approval(name(world), "Approved", "not worse")
    assert world.api.get(PACKAGE, "p-1") == before


def test_one_who_always_loses_the_race_is_told_to_come_again(world: World, registry: ModelPackages) -> None:
    put = world.api.replace_status

    def late(kind: Any, obj: Any) -> Any:
        found = world.api.get(PACKAGE, "p-1")
        status = {**(found.get("status") or {}), "why": f"{(found.get('status') or {}).get('why', '')}."}
        put(PACKAGE, {**found, "status": status})
        return put(kind, obj)

    world.api.replace_status = late  # type: ignore[method-assign]
    with pytest.raises(Busy, match="all the time"):
        registry.set_approval(name(world), "Rejected", "alarm")


@pytest.mark.parametrize("package", ["p-1", "elsewhere/p-1", "arn:aws:sagemaker:eu-west-1:1:model-package/m/1"])
def test_a_package_of_another_place_is_refused(registry: ModelPackages, package: str) -> None:
    with pytest.raises(RolloutError, match="expected NAMESPACE/NAME in namespace"):
        registry.approval(package)
