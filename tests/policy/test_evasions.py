"""What breaks the intent of a rule in another form than the plain one, and what only looks as if it did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from policy import tokens
from policy.rule import Declared, ResourceRule
from policy.rules import RULES
from tests.policy.fixtures import BUCKET, allow, document, made

OBJECTS = "arn:aws:s3:::it/*"
ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
WITHOUT_TLS = {"aws:SecureTransport": "false"}


def role(*statements: dict[str, Any]) -> Declared:
    return made(tokens.ROLE_POLICY, policy=document(*statements))


def shared(condition: dict[str, Any] | None = None, **more: Any) -> Declared:
    given = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": OBJECTS, **more}
    return made(tokens.BUCKET_POLICY, policy=document({**given, "Condition": condition or {}}))


def denies(**more: Any) -> Declared:
    given = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::it", OBJECTS]}
    return made(tokens.BUCKET_POLICY, policy=document({**given, "Condition": {"Bool": WITHOUT_TLS}, **more}))


def key(**default: str) -> Declared:
    return made(tokens.BUCKET_ENCRYPTION, rules=[{"applyServerSideEncryptionByDefault": default}])


def expires(**expiration: Any) -> Declared:
    old = {"noncurrentVersionExpiration": {"noncurrentDays": 1}}
    return made(tokens.BUCKET_LIFECYCLE, rules=[{"status": "Enabled", "expiration": expiration, **old}])


def findings(name: str, resources: Iterable[Declared]) -> list[str]:
    (rule,) = (rule for rule in RULES if rule.name == name)
    if isinstance(rule, ResourceRule):
        return [text for each in resources for _, text in rule.findings(each)]
    return [text for _, text in rule.findings(list(resources))]


BREAKS: dict[str, tuple[str, list[Declared]]] = {
    "a question mark is a wildcard": ("no-wildcard", [role(allow("s3:GetObjec?"))]),
    "every bucket by its ARN": ("no-wildcard", [role(allow("s3:GetObject", "arn:aws:s3:::*"))]),
    "every object by its ARN": ("no-wildcard", [role(allow("s3:GetObject", "arn:aws:s3:::*/*"))]),
    "every ARN": ("no-wildcard", [role(allow("s3:GetObject", "arn:*"))]),
    "every table of every account": ("no-wildcard", [role(allow("dynamodb:GetItem", "arn:aws:dynamodb:*:*:*"))]),
    "a user": ("no-wildcard", [made(tokens.USER_POLICY, policy=document(allow("*", "*")))]),
    "a group": ("no-wildcard", [made(tokens.GROUP_POLICY_ATTACHMENT, policyArn=ADMINISTRATOR)]),
    "all whom an attachment names": ("no-wildcard", [made(tokens.POLICY_ATTACHMENT_OF_ALL, policyArn=ADMINISTRATOR)]),
    "everybody with TLS": ("not-public", [shared({"Bool": {"aws:SecureTransport": "true"}})]),
    "everybody with an ARN": ("not-public", [shared({"StringLike": {"aws:PrincipalArn": "*"}})]),
    "every address": ("not-public", [shared({"IpAddress": {"aws:SourceIp": ["0.0.0.0/0"]}})]),
    "everybody else": ("not-public", [shared({"StringNotEquals": {"aws:PrincipalAccount": "1"}})]),
    "who has no organization": ("not-public", [shared({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}})]),
    "all but one": (
        "not-public",
        [made(tokens.BUCKET_POLICY, policy=document(allow("s3:GetObject", NotPrincipal={"AWS": "arn:x"})))],
    ),
    "an ACL within a bucket": ("not-public", [made(tokens.BUCKET, acl="public-read")]),
    "a grant within a bucket": ("not-public", [made(tokens.BUCKET, grants=[{"uri": ALL_USERS}])]),
    "a grant of an ACL": (
        "not-public",
        [made(tokens.BUCKET_ACL, accessControlPolicy={"grants": [{"grantee": {"uri": ALL_USERS}}]})],
    ),
    "the policy of a key, beside it": (
        "not-public",
        [made(tokens.KEY_POLICY, policy=document(allow("kms:Decrypt", "*", Principal={"AWS": "*"})))],
    ),
    "TLS for one action": ("tls-only", [BUCKET, denies(Action="s3:PutObject")]),
    "TLS for objects": ("tls-only", [BUCKET, denies(Resource=OBJECTS)]),
    "TLS for the bucket": ("tls-only", [BUCKET, denies(Resource="arn:aws:s3:::it")]),
    "TLS from one network": (
        "tls-only",
        [BUCKET, denies(Condition={"Bool": WITHOUT_TLS, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})],
    ),
    "TLS for one of two kinds": (
        "tls-only",
        [BUCKET, denies(Condition={"Bool": {**WITHOUT_TLS, "aws:ViaAWSService": "true"}})],
    ),
    "TLS for every service": ("tls-only", [BUCKET, denies(Principal={"AWS": "arn:aws:iam::1:role/x", "Service": "*"})]),
    "a key of AWS by its ARN": (
        "own-key",
        [key(sseAlgorithm="aws:kms", kmsMasterKeyId="arn:aws:kms:x:1:alias/aws/s3")],
    ),
    "a key that is named and not used": (
        "own-key",
        [made(tokens.REPOSITORY, encryptionConfigurations=[{"encryptionType": "AES256", "kmsKey": "arn:key"}])],
    ),
    "nothing but markers expires": ("objects-end", [expires(expiredObjectDeleteMarker=True)]),
    "it may grow": (
        "cost-ceiling",
        [
            made(
                tokens.CONFIG,
                productionVariants=[
                    {
                        "instanceType": "ml.m5.large",
                        "initialInstanceCount": 1,
                        "managedInstanceScaling": {"maxInstanceCount": 100},
                    }
                ],
            )
        ],
    ),
}
KEEPS: dict[str, tuple[str, list[Declared]]] = {
    "objects below a name": ("no-wildcard", [role(allow("s3:GetObject", "arn:aws:s3:::it/audit/*"))]),
    "streams of a log": ("no-wildcard", [role(allow("logs:PutLogEvents", "arn:aws:logs:x:1:log-group:/it:*"))]),
    "an organization": ("not-public", [shared({"StringEquals": {"aws:PrincipalOrgID": "o-1"}})]),
    "an owner, in other letters": ("not-public", [shared({"StringEquals": {"AWS:SourceOwner": "1"}})]),
    "a network, and TLS": (
        "not-public",
        [shared({"Bool": {"aws:SecureTransport": "true"}, "IpAddress": {"aws:SourceIp": "192.0.2.0/24"}})],
    ),
    "TLS in a list": ("tls-only", [BUCKET, denies(Condition={"Bool": {"aws:SecureTransport": ["false"]}})]),
    "TLS in other letters": ("tls-only", [BUCKET, denies(Condition={"Bool": {"AWS:securetransport": False}})]),
    "TLS if it is told": ("tls-only", [BUCKET, denies(Condition={"BoolIfExists": WITHOUT_TLS})]),
    "TLS by one pattern": ("tls-only", [BUCKET, denies(Resource="arn:aws:s3:::it*")]),
    "TLS in two policies": ("tls-only", [BUCKET, denies(Resource="arn:aws:s3:::it"), denies(Resource=OBJECTS)]),
}


@pytest.mark.parametrize("name", BREAKS)
def test_another_form_of_what_is_forbidden_is_found(name: str):
    rule, resources = BREAKS[name]
    assert findings(rule, resources)


@pytest.mark.parametrize("name", KEEPS)
def test_another_form_of_what_is_allowed_is_no_finding(name: str):
    rule, resources = KEEPS[name]
    assert not findings(rule, resources)


@pytest.mark.parametrize(
    ("old", "kind"),
    [
        ("aws:s3/bucketV2:BucketV2", tokens.BUCKET),
        ("aws:s3/bucketVersioningV2:BucketVersioningV2", tokens.BUCKET_VERSIONING),
        (tokens.BUCKET, tokens.BUCKET),
    ],
)
def test_a_type_has_one_token_whichever_of_its_names_is_used(old: str, kind: str):
    assert tokens.current(old) == kind
