"""People approve a release on every platform, each as who the platform says they are, and nobody what they made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, cast
from uuid import uuid4

import boto3
import pytest

from modelstack.pipeline.pack import Registered
from modelstack.platforms.aws.approvals import BucketApprovals
from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.aws.versions import GroupVersions
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.approvals import PackageApprovals
from modelstack.platforms.kubernetes.kinds import NAMESPACE
from modelstack.platforms.kubernetes.versions import ModelPackages
from modelstack.records.provenance.evidence import Attestation
from modelstack.rollout.core.release import release_id
from modelstack.services.approvals import ApprovalRefused, Approvals, BlobApprovals, approve, record
from modelstack.services.sealed_packages import TRAINED_BY
from modelstack.services.versions import Versions
from tests.cli.registered import ClusterApi
from tests.platforms.aws.either import EITHER, IMAGE, root_of
from tests.platforms.kubernetes.apiserver import Impersonating
from tests.platforms.kubernetes.conftest import server
from tests.simulator.platform import MemoryJournal, World

__all__ = ["server"]

RECIPE = "ab" * 32
DIGEST = f"sha256:{'cd' * 32}"
RELEASE = release_id(RECIPE, IMAGE)
PACKAGE = Registered("", "s3://bucket/packages/cd/model.tar.gz", DIGEST, "e" * 64, RECIPE, IMAGE, {})
ENDPOINT = "flight-delay-prod"
ALL = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
REAL = pytest.param("API server", marks=[pytest.mark.needs("apiserver"), pytest.mark.slow])


@dataclass(frozen=True)
class Place:
    """A stack in which people approve releases: registry and approvals by the name of a person."""

    person: Callable[[str], tuple[Versions, Approvals]]

    def register(self, who: str, trained_by: str = "") -> None:
        """Register the release as a person; another one may have made it elsewhere."""
        lineage = {TRAINED_BY: self.person(trained_by)[1].caller()} if trained_by else {}
        self.person(who)[0].add(PACKAGE, Attestation({}, b"", b""), lineage)

    def approve(self, who: str, why: str, at: float, release: str = RELEASE) -> int:
        """Approve as a person; how many have approved then."""
        return approve(*self.person(who), release, why, now=at, registry="the registry")[1]

    @property
    def approvals(self) -> Approvals:
        return self.person("reader")[1]


@pytest.fixture(params=["toy", *EITHER, "cluster", REAL])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param in {"cluster", "API server"}:
        return _cluster(request)
    if request.param == "toy":
        toy, path = request.getfixturevalue("toy"), request.getfixturevalue("tmp_path") / "stack.sqlite"
        blobs, documents = toy.ToyBlobs(toy.File(path)), toy.ToyDocuments(toy.File(path))
        return Place(lambda who: (toy.ToyVersions(documents, who), BlobApprovals(blobs, lambda: who)))
    url, root = root_of(request)
    return _account(cache(partial(root.client, endpoint_url=url)))


def _account(root: Clients) -> Place:
    name = f"approvals-{uuid4().hex[:12]}"
    root("s3").create_bucket(Bucket=name)
    root("sagemaker").create_model_package_group(ModelPackageGroupName=name)

    @cache
    def clients(who: str) -> Clients:
        user = f"{who}-{uuid4().hex[:8]}"
        root("iam").create_user(UserName=user)
        root("iam").put_user_policy(UserName=user, PolicyName="all", PolicyDocument=ALL)
        key = root("iam").create_access_key(UserName=user)["AccessKey"]
        session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name="us-east-1")
        return cache(partial(session.client, endpoint_url=root("s3").meta.endpoint_url))

    def person(who: str) -> tuple[Versions, Approvals]:
        return GroupVersions(name, clients(who)), BucketApprovals.of(clients(who), name)

    return Place(person)


def _cluster(request: pytest.FixtureRequest) -> Place:
    shared = ClusterApi()
    namespace = f"models-{uuid4().hex[:8]}"
    if request.param != "cluster":
        access = request.getfixturevalue("server").access()
        Api(access, namespace).create(NAMESPACE, {"metadata": {"name": namespace}})

    def api(who: str) -> Api:
        if request.param != "cluster":
            return Api(replace(access, auth=Impersonating(access.auth, who)), namespace)
        made = ClusterApi()
        vars(made).update(vars(shared))
        made.who = who
        return cast(Api, made)

    def person(who: str) -> tuple[Versions, Approvals]:
        return ModelPackages(api(who), ENDPOINT, f"{ENDPOINT}-1"), PackageApprovals(api(who), ENDPOINT)

    return Place(person)


@pytest.mark.slow
def test_each_person_counts_once(place: Place) -> None:
    place.register("deployer")
    assert (place.approvals.count(RELEASE), place.approvals.given(RELEASE)) == (0, [])
    words = (("ada", "looks well", 1.5), ("ben", "agreed, too: \N{CHECK MARK}", 2.0), ("ada", "again", 3.0))
    counts = [place.approve(*one) for one in words]
    found = place.approvals.given(RELEASE)
    people = [place.person(who)[1].caller() for who in ("ada", "ben")]
    assert counts == [1, 2, 2]
    assert [(one.who, one.why, one.at) for one in found] == [
        (people[0], "looks well", 1.5),
        (people[1], "agreed, too: \N{CHECK MARK}", 2.0),
    ]
    assert {one.package_digest for one in found} == {DIGEST}
    assert place.approvals.count("0" * 12) == 0


@pytest.mark.slow
@pytest.mark.parametrize("made", [{"who": "ada"}, {"who": "deployer", "trained_by": "ada"}])
def test_nobody_approves_what_they_made(place: Place, made: Any) -> None:
    place.register(**made)
    with pytest.raises(ApprovalRefused, match="who made a release may not approve it"):
        place.approve("ada", "mine", 1.0)
    assert place.approvals.count(RELEASE) == 0
    assert place.approve("ben", "looks well", 1.0) == 1


def test_a_release_that_is_not_registered_cannot_be_approved(place: Place) -> None:
    with pytest.raises(ApprovalRefused, match="no release 000000000000 is registered in the registry"):
        place.approve("ada", "looks well", 1.0, "0" * 12)


def test_an_approval_is_put_into_the_audit_record_once(place: Place) -> None:
    place.register("deployer")
    place.approve("ada", "looks well", 1.0)
    journal = MemoryJournal(World(configs={"solo": {"v-a": 1.0}}, serving="solo"))
    for _ in range(2):
        record(place.approvals.given(RELEASE), journal)
    assert journal.read().audit.number == 1
