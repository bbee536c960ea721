"""People agree to a release, each as who their credentials say, and nobody to what they made."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from uuid import uuid4

import boto3
import pytest

from platforms.aws.approvals import count, give, given
from platforms.aws.clients import Clients
from platforms.aws.identity import REGISTERED_BY, TRAINED_BY, as_metadata, caller
from platforms.aws.journal import DynamoJournal
from rollout.core.release import release_id
from services.approvals import ApprovalRefused, record
from tests.platforms.aws.either import EITHER, IMAGE, root_of
from tests.platforms.aws.mocked import journal_table

RECIPE = "ab" * 32
RELEASE = release_id(RECIPE, IMAGE)
Person = Callable[[str], Clients]
ALL = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'


@pytest.fixture(params=EITHER)
def person(request: pytest.FixtureRequest) -> Person:
    """Makes a user of a name, and gives their clients; the empty name is the account's root."""
    url, root = root_of(request)

    def make(name: str) -> Clients:
        if not name:
            return cache(partial(root.client, endpoint_url=url))
        iam, user = root.client("iam", endpoint_url=url), f"{name}-{uuid4().hex[:8]}"
        iam.create_user(UserName=user)
        iam.put_user_policy(UserName=user, PolicyName="all", PolicyDocument=ALL)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name="us-east-1")
        return cache(partial(session.client, endpoint_url=url))

    return make


@pytest.fixture
def place(person: Person) -> Callable[..., str]:
    """Makes a bucket and a group of one name, with a release that somebody registered."""

    def make(**metadata: str) -> str:
        clients, name = person(""), f"approvals-{uuid4().hex[:12]}"
        clients("s3").create_bucket(Bucket=name)
        clients("sagemaker").create_model_package_group(ModelPackageGroupName=name)
        known = {"recipe": RECIPE, "package_digest": "sha256:cd", "manifest_sha256": "ef", **metadata}
        clients("sagemaker").create_model_package(
            ModelPackageGroupName=name,
            ModelApprovalStatus="PendingManualApproval",
            InferenceSpecification={
                "Containers": [{"Image": IMAGE, "ModelDataUrl": "s3://bucket/packages/cd/model.tar.gz"}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            CustomerMetadataProperties=known,
        )
        return name

    return make


def test_each_person_counts_once(person: Person, place: Callable[..., str]):
    name, first, second = place(), person("first"), person("second")
    s3 = person("")("s3")
    assert (count(s3, name, RELEASE), given(s3, name, RELEASE)) == (0, [])
    for clients, why, at in (
        (first, "looks well", 1.0),
        (second, "agreed, too: \N{CHECK MARK}", 2.0),
        (first, "again", 3.0),
    ):
        give(clients, RELEASE, why, at, bucket=name, group=name)
    found = given(s3, name, RELEASE)
    assert [(one.who, one.why, one.at) for one in found] == [
        (caller(first), "looks well", 1.0),
        (caller(second), "agreed, too: \N{CHECK MARK}", 2.0),
    ]
    assert {one.package_digest for one in found} == {"sha256:cd"}
    assert (count(s3, name, RELEASE), count(s3, name, "0" * 12)) == (2, 0)


@pytest.mark.parametrize("role", [REGISTERED_BY, TRAINED_BY])
def test_nobody_agrees_to_what_they_made(person: Person, place: Callable[..., str], role: str):
    author = person("author")
    name = place(**{role: as_metadata(caller(author))})
    with pytest.raises(ApprovalRefused, match="who made a release may not approve it"):
        give(author, RELEASE, "mine", 1.0, bucket=name, group=name)
    assert count(person("")("s3"), name, RELEASE) == 0
    give(person("other"), RELEASE, "looks well", 1.0, bucket=name, group=name)
    assert count(person("")("s3"), name, RELEASE) == 1


def in_role(root: Clients, role: str, session: str) -> Clients:
    """The clients of a session in a role, which is made."""
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
    name = f"{role}-{uuid4().hex[:8]}"
    arn = root("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    root("iam").put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=ALL)
    keys = root("sts").assume_role(RoleArn=arn, RoleSessionName=session)["Credentials"]
    made = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name="us-east-1")
    return cache(partial(made.client, endpoint_url=root("sts").meta.endpoint_url))


def test_who_takes_another_role_is_the_same_person(person: Person, place: Callable[..., str]):
    root = person("")
    deploys, reads = in_role(root, "deploy", "ada@example.com"), in_role(root, "read", "ada@example.com")
    name = place(**{REGISTERED_BY: as_metadata(caller(deploys))})
    with pytest.raises(ApprovalRefused, match=f"read.* made release {RELEASE}, as .*deploy.*, and who made"):
        give(reads, RELEASE, "mine", 1.0, bucket=name, group=name)
    for at, role in enumerate(("deploy", "read")):
        give(in_role(root, role, "grace@example.com"), RELEASE, "looks well", at, bucket=name, group=name)
    assert count(root("s3"), name, RELEASE) == 1


def test_who_agreed_is_put_into_the_audit_record_once(person: Person, place: Callable[..., str]):
    name, ada, root = place(), person("ada"), person("")
    give(ada, RELEASE, "looks well", 1.0, bucket=name, group=name)
    journal_table(root, name)
    journal = DynamoJournal(root, name, "endpoint", "deployer")
    for _ in range(2):
        record(given(root("s3"), name, RELEASE), journal)
    (kept,) = journal.read().audit.waiting
    assert (kept.kind, kept.who, kept.what["event"]) == ("approval", "deployer", "agreed")
    assert (kept.what["who"], kept.what["why"], kept.what["package"]) == (caller(ada), "looks well", "sha256:cd")


def test_what_is_not_registered_cannot_be_agreed_to(person: Person, place: Callable[..., str]):
    name = place()
    with pytest.raises(ApprovalRefused, match=f"no release 000000000000 is registered in {name}"):
        give(person("someone"), "0" * 12, "looks well", 1.0, bucket=name, group=name)


def test_an_identity_fits_into_metadata():
    arn = "arn:aws:sts::000000000000:assumed-role/deploy/ada,lovelace@example.com"
    assert as_metadata(arn) == arn.replace(",", "_")
