"""A person is the same in every role that they take."""

from __future__ import annotations

import json
from functools import cache, partial
from uuid import uuid4

import boto3
import pytest

from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.aws.identity import caller
from modelstack.services.approvals import ApprovalRefused, refuse_maker
from modelstack.services.principals import as_metadata, person
from tests.platforms.aws.either import EITHER, root_of


@pytest.fixture(params=EITHER)
def root(request: pytest.FixtureRequest) -> Clients:
    url, session = root_of(request)
    return cache(partial(session.client, endpoint_url=url))


def in_role(root: Clients, role: str, session: str) -> str:
    """Who the credentials of a session in a role name; the role is new."""
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
    name = f"{role}-{uuid4().hex[:8]}"
    arn = root("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    keys = root("sts").assume_role(RoleArn=arn, RoleSessionName=session)["Credentials"]
    made = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name="us-east-1")
    return caller(cache(partial(made.client, endpoint_url=root("sts").meta.endpoint_url)))


def test_a_person_who_takes_another_role_is_the_same_person(root: Clients) -> None:
    deploys, reads = (in_role(root, role, "ada@example.com") for role in ("deploy", "read"))
    with pytest.raises(ApprovalRefused, match=r"read.* made release r, as .*deploy.*, and who made"):
        refuse_maker(reads, "r", [as_metadata(deploys)])
    assert person(deploys) == person(reads) == "ada@example.com"


def test_an_identity_fits_into_metadata() -> None:
    arn = "arn:aws:sts::000000000000:assumed-role/deploy/ada,lovelace@example.com"
    assert as_metadata(arn) == arn.replace(",", "_")
