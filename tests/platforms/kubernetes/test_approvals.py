"""People agree to a release on a cluster, each as who the API server knows, and nobody to what they made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from infra.providers import kubernetes_trial
from infra.providers.kubernetes_trial import KubernetesRolloutProvider
from pipeline.pack import Registered
from platforms.kubernetes.api import Api
from platforms.kubernetes.approvals import give, people_of, people_of_package
from platforms.kubernetes.journal import KubernetesJournal
from platforms.kubernetes.kinds import PACKAGE
from platforms.kubernetes.package_status import PackageStatus
from platforms.kubernetes.versions import ModelPackages
from provenance.evidence import Evidence
from rollout.core.errors import RolloutError
from rollout.core.release import release_id
from services.approvals import ApprovalRefused
from tests.platforms.kubernetes.fake_api import FakeApi
from tests.platforms.kubernetes.impersonating import Impersonating
from tests.platforms.kubernetes.world import ENDPOINT, World

DIGEST = f"sha256:{'d' * 64}"
IMAGE = "r.example/s@sha256:1"
PACKAGED = Registered("", f"oci://r.example/m@{DIGEST}", DIGEST, "m" * 64, "ab" * 32, IMAGE, {})
RELEASE = release_id("ab" * 32, IMAGE)
As = Callable[[str], Api]


@pytest.fixture
def person(world: World, request: pytest.FixtureRequest) -> As:
    """The namespace, asked by somebody."""

    def as_one(who: str) -> Api:
        if isinstance(world.api, FakeApi):
            made = FakeApi()
            vars(made).update(vars(world.api))
            cast(Any, made).user = lambda: who
            return cast(Api, made)
        access = request.getfixturevalue("server").access()
        return Api(replace(access, auth=Impersonating(access.auth, who)), world.api.namespace)

    return as_one


def register(api: Api, **lineage: str) -> None:
    """Register the release, as who asks."""
    said = Evidence({}, b"", b"")
    ModelPackages(api, ENDPOINT, f"{ENDPOINT}-{RELEASE}").add(PACKAGED, said, lineage)


def test_each_person_counts_once_and_a_verdict_takes_nobody_away(person: As) -> None:
    register(person("deployer"))
    asked = person("deployer")
    assert people_of(asked, ENDPOINT, RELEASE) == []
    for who, why, at in (
        ("ada@example.org", "looks well", 1.5),
        ("oidc/ben", "agreed, too: \N{CHECK MARK}", 2.0),
        ("another/ben", "again", 3.0),
    ):
        give(person(who), ENDPOINT, RELEASE, why, at)
    PackageStatus(asked).set_approval(f"{asked.namespace}/{ENDPOINT}-{RELEASE}", "Rejected", "it fails")
    found = people_of(asked, ENDPOINT, RELEASE)
    assert [(one.who, one.why, one.at, one.package_digest) for one in found] == [
        ("ada@example.org", "looks well", 1.5, DIGEST),
        ("oidc/ben", "agreed, too: \N{CHECK MARK}", 2.0, DIGEST),
    ]
    assert asked.get(PACKAGE, f"{ENDPOINT}-{RELEASE}")["status"]["approval"] == "Rejected"


@pytest.mark.parametrize("maker", ["registered here", "made on AWS"])
def test_nobody_agrees_to_what_they_made(person: As, maker: str) -> None:
    if maker == "registered here":
        register(person("ada@example.org"))
    else:
        register(person("deployer"), trained_by="arn:aws:sts::000000000000:assumed-role/deploy/ada@example.org")
    with pytest.raises(ApprovalRefused, match=r"ada@example.org made release .*who made a release may not approve it"):
        give(person("ada@example.org"), ENDPOINT, RELEASE, "mine", 1.0)
    assert people_of(person("ben"), ENDPOINT, RELEASE) == []
    assert len(give(person("ben"), ENDPOINT, RELEASE, "looks well", 1.0)) == 1
    assert len(people_of_package(person("deployer"), f"{ENDPOINT}-{RELEASE}", RELEASE)) == 1


def test_two_who_agree_at_once_both_count(person: As) -> None:
    register(person("deployer"))
    late, put, raced = person("ada"), Api.replace_status, list[int]()

    def raced_by(kind: Any, obj: Any) -> Any:
        if not raced:
            raced.append(1)
            give(person("ben"), ENDPOINT, RELEASE, "first", 1.0)
        real = FakeApi.replace_status if isinstance(late, FakeApi) else put
        return real(cast(Any, late), kind, obj)

    cast(Any, late).replace_status = raced_by
    given = give(late, ENDPOINT, RELEASE, "second", 2.0)
    assert [one.who for one in given] == ["ben", "ada"]
    assert [one.who for one in people_of(person("deployer"), ENDPOINT, RELEASE)] == ["ben", "ada"]


def test_what_is_not_registered_cannot_be_agreed_to(person: As) -> None:
    with pytest.raises(ApprovalRefused, match=f"no release {'0' * 12} is registered in .*/{ENDPOINT}"):
        give(person("ada"), ENDPOINT, "0" * 12, "looks well", 1.0)


def test_a_definition_that_keeps_no_word_of_a_person_is_told(person: As) -> None:
    register(person("deployer"))
    old = person("ada")
    cast(Any, old).replace_status = lambda kind, obj: {**obj, "status": {"approval": "PendingManualApproval"}}
    with pytest.raises(ApprovalRefused, match=r"keeps no `status\.agreed` of a ModelPackage: its definition is older"):
        give(old, ENDPOINT, RELEASE, "looks well", 1.0)


def test_who_agreed_is_put_into_the_audit_record_once_by_the_update_that_begins_the_release(
    person: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(person("deployer"))
    give(person("ada"), ENDPOINT, RELEASE, "looks well", 1.0)
    api = person("deployer")
    monkeypatch.setattr(kubernetes_trial, "_api", lambda _: api)
    target = {"id": RELEASE, "model_package_arn": f"{api.namespace}/{ENDPOINT}-{RELEASE}"}
    for _ in range(2):
        KubernetesRolloutProvider().record_agreed({"endpoint": ENDPOINT, "target": target})
    (kept,) = KubernetesJournal(api, ENDPOINT).read().audit.waiting
    assert (kept.kind, kept.who, kept.what["event"]) == ("approval", "deployer", "agreed")
    assert (kept.what["who"], kept.what["why"], kept.what["package"]) == ("ada", "looks well", DIGEST)


@pytest.mark.needs("apiserver")
@pytest.mark.slow
def test_who_may_not_write_a_status_cannot_agree(request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("server")
    with pytest.raises(RolloutError, match="forbidden"):
        give(Api(server.access("nobody"), "default"), ENDPOINT, RELEASE, "looks well", 1.0)
