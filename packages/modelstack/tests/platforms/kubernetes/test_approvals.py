"""Approvals in the status of a ModelPackage, next to the verdict; see also
packages/modelstack/tests/platform_contract.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from modelstack.pipeline.pack import Registered
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.approvals import PackageApprovals
from modelstack.platforms.kubernetes.journal import KubernetesJournal
from modelstack.platforms.kubernetes.kinds import PACKAGE
from modelstack.platforms.kubernetes.versions import ModelPackages
from modelstack.program.providers import kubernetes_trial
from modelstack.program.providers.kubernetes_trial import KubernetesRolloutProvider
from modelstack.records.provenance.evidence import Attestation
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.release import release_id
from modelstack.services.approvals import Approval, ApprovalRefused
from tests.platforms.kubernetes.fake_api import FakeApi
from tests.platforms.kubernetes.world import ENDPOINT, World

DIGEST = f"sha256:{'d' * 64}"
IMAGE = "r.example/s@sha256:1"
PACKAGED = Registered("", f"oci://r.example/m@{DIGEST}", DIGEST, "m" * 64, "ab" * 32, IMAGE, {})
RELEASE = release_id("ab" * 32, IMAGE)
NAME = f"{ENDPOINT}-{RELEASE}"


def by(who: str, at: float = 1.0) -> Approval:
    return Approval(RELEASE, DIGEST, who, "looks well", at)


@pytest.fixture
def approvals(world: World) -> PackageApprovals:
    if isinstance(world.api, FakeApi):
        cast(Any, world.api).user = lambda: "deployer"
    ModelPackages(world.api, ENDPOINT, NAME).add(PACKAGED, Attestation({}, b"", b""), {})
    return PackageApprovals(world.api, ENDPOINT)


def test_a_verdict_takes_no_approval_away(approvals: PackageApprovals) -> None:
    approvals.add(by("ada"))
    ModelPackages(approvals.api).set_approval(f"{approvals.api.namespace}/{NAME}", "Rejected", "it fails")
    approvals.add(by("ben", 2.0))
    assert replace(approvals, name=NAME).given(RELEASE) == [by("ada"), by("ben", 2.0)]
    assert approvals.api.get(PACKAGE, NAME)["status"]["approval"] == "Rejected"


def test_two_who_agree_at_once_both_count(approvals: PackageApprovals, monkeypatch: pytest.MonkeyPatch) -> None:
    put, raced = approvals.api.replace_status, list[int]()

    def late(kind: Any, obj: Any) -> Any:
        if not raced:
            raced.append(1)
            approvals.add(by("ben"))
        return put(kind, obj)

    monkeypatch.setattr(approvals.api, "replace_status", late)
    approvals.add(by("ada", 2.0))
    assert [one.who for one in approvals.given(RELEASE)] == ["ben", "ada"]


def test_a_definition_that_keeps_no_word_of_a_person_is_told(
    approvals: PackageApprovals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approvals.api, "replace_status", lambda kind, obj: {**obj, "status": {"approval": "Approved"}})
    with pytest.raises(ApprovalRefused, match=r"keeps no `status\.agreed` of a ModelPackage: its definition is older"):
        approvals.add(by("ada"))


def test_the_update_that_begins_a_release_puts_its_approvals_into_the_audit_record_once(
    approvals: PackageApprovals, monkeypatch: pytest.MonkeyPatch
) -> None:
    approvals.add(by("ada"))
    api = approvals.api
    monkeypatch.setattr(kubernetes_trial, "api_of", lambda _: api)
    target = {"id": RELEASE, "model_package_arn": f"{api.namespace}/{NAME}"}
    for _ in range(2):
        KubernetesRolloutProvider()._record_approvals({"endpoint": ENDPOINT, "desired_release": target})
    (kept,) = KubernetesJournal(api, ENDPOINT).read().audit.waiting
    assert (kept.kind, kept.who, kept.what["event"]) == ("approval", api.user(), "agreed")
    assert (kept.what["who"], kept.what["why"], kept.what["package"]) == ("ada", "looks well", DIGEST)


@pytest.mark.needs("apiserver")
@pytest.mark.slow
def test_who_may_not_write_a_status_cannot_agree(request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("server")
    with pytest.raises(RolloutError, match="forbidden"):
        PackageApprovals(Api(server.access("nobody"), "default"), ENDPOINT).add(by("ada"))
