"""What breaks the intent of a rule in another form than the plain one, and what only looks as if it did."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from policy import tokens
from policy.rule import UNKNOWN, Declared, ResourceRule, StackRule
from policy.rules import RULES
from tests.policy.fixtures import BUCKET, GITHUB, USER, allow, document, made, trusting

ROOT = Path(__file__).resolve().parents[2]
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


def workflow(subject: Any, operator: str = "StringLike", audience: str = "sts.amazonaws.com") -> Declared:
    aud, sub = {f"{GITHUB}:aud": audience}, {f"{GITHUB}:sub": subject}
    return trusting({operator: {**aud, **sub}} if operator == "StringEquals" else {"StringLike": aud, operator: sub})


def queue(name: str, **more: Any) -> Declared:
    refuses = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": "*",
        "Condition": {"Bool": WITHOUT_TLS},
    }
    return made(tokens.QUEUE, name, name=name, policy=document({**refuses, **more}))


def everything(**more: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", **more}]}


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
    "a group": ("no-wildcard", [made("aws:iam/groupPolicyAttachment:GroupPolicyAttachment", policyArn=ADMINISTRATOR)]),
    "all whom an attachment names": (
        "no-wildcard",
        [made("aws:iam/policyAttachment:PolicyAttachment", policyArn=ADMINISTRATOR)],
    ),
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
    "a repository for everybody": ("not-public", [made(tokens.PUBLIC_REPOSITORY)]),
    "a database for everybody": ("not-public", [made("aws:rds/instance:Instance", publiclyAccessible=True)]),
    "every account by its length": ("not-public", [shared({"StringLike": {"aws:SourceAccount": "????????????"}})]),
    "an account, or any": ("not-public", [shared({"StringLike": {"aws:SourceAccount": ["1", "*"]}})]),
    "every role of every account": ("not-public", [shared({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}})]),
    "everybody is who they are": (
        "not-public",
        [shared({"StringEquals": {"aws:PrincipalAccount": "${aws:PrincipalAccount}"}})],
    ),
    "every address in halves": ("not-public", [shared({"IpAddress": {"aws:SourceIp": ["0.0.0.0/1", "128.0.0.0/1"]}})]),
    "a network that anybody can make": ("not-public", [shared({"IpAddress": {"aws:VpcSourceIp": "10.0.0.0/16"}})]),
    "every organization": ("not-public", [shared({"StringLike": {"aws:PrincipalOrgID": "o-*"}})]),
    "who has no account": ("not-public", [shared({"ForAllValues:StringEquals": {"aws:PrincipalAccount": "1"}})]),
    "everybody among others": ("not-public", [shared(Principal={"AWS": [USER, "*"]})]),
    "everybody by another kind": ("not-public", [shared(Principal={"*": "*"})]),
    "every account's administrator": ("not-public", [shared(Principal={"AWS": "arn:aws:iam::*:root"})]),
    "a service for every bucket": (
        "not-public",
        [shared({"ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}}, Principal={"Service": "s3.amazonaws.com"})],
    ),
    "a workflow of any repository": ("not-public", [workflow(["repo:owner/name:*", "repo:*:pull_request"])]),
    "a workflow of any name": ("not-public", [workflow("repo:owner/*")]),
    "a workflow without a subject": ("not-public", [workflow("repo:owner/name:*", "StringLikeIfExists")]),
    "a workflow for any audience": (
        "not-public",
        [workflow("repo:owner/name:*", "ForAnyValue:StringLike", audience="*")],
    ),
    "a policy of a type that no rule names": (
        "not-public",
        [made("aws:glue/resourcePolicy:ResourcePolicy", policy=json.dumps(everything(Principal="*")))],
    ),
    "a policy by another provider": (
        "no-wildcard",
        [made("aws-native:iam:Role", policies=[{"policyDocument": everything()}])],
    ),
    "a policy within a list": (
        "no-wildcard",
        [made(tokens.ROLE, inlinePolicies=[{"policy": UNKNOWN}, {"policy": json.dumps(everything())}])],
    ),
    "a policy that says for whom it is": ("no-wildcard", [role(allow("*", Principal={"AWS": USER}))]),
    "a policy beside what is not known": (
        "not-public",
        [made(tokens.BUCKET, acl=UNKNOWN, policy=json.dumps(everything(Principal="*")))],
    ),
    "a policy of AWS after what is not known": (
        "no-wildcard",
        [made(tokens.ROLE, managedPolicyArns=[UNKNOWN, "arn:aws-cn:iam::aws:policy/IAMFullAccess"])],
    ),
    "an escaped wildcard": (
        "no-wildcard",
        [made(tokens.POLICY, policy=document(allow("s3:*")).replace("*", "\\u002a"))],
    ),
    "every role by a letter": ("no-wildcard", [role(allow("iam:PassRole", "arn:aws:iam::1:role/a*"))]),
    "every table by half a type": ("no-wildcard", [role(allow("dynamodb:GetItem", "arn:aws:dynamodb:x:1:table*"))]),
    "every role of services": ("no-wildcard", [role(allow("iam:PassRole", "arn:aws:iam::1:role/service-role/*"))]),
    "a role of any account": ("no-wildcard", [role(allow("sts:AssumeRole", "arn:aws:iam::*:role/deploy"))]),
    "every bucket that ends so": ("no-wildcard", [role(allow("s3:GetObject", "arn:aws:s3:::*-it/*"))]),
    "a bucket that the request names": ("no-wildcard", [role(allow("s3:GetObject", "arn:aws:s3:::${aws:username}/*"))]),
    "the logs of all functions": (
        "no-wildcard",
        [role(allow("logs:GetLogEvents", "arn:aws:logs:x:1:log-group:/aws/lambda/*"))],
    ),
    "TLS for what nobody asks": ("tls-only", [queue("it", Action="sqs:ListQueues")]),
    "TLS for another queue": ("tls-only", [queue("other"), made(tokens.QUEUE, name="it")]),
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
    "a path of roles": ("no-wildcard", [role(allow("iam:PassRole", "arn:aws:iam::1:role/it/*"))]),
    "a topic's subscriptions": ("no-wildcard", [role(allow("sns:Unsubscribe", "arn:aws:sns:x:1:it:*"))]),
    "roles of one account": ("not-public", [shared({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::1:role/*"}})]),
    "a service for one bucket": (
        "not-public",
        [shared({"ArnLike": {"aws:SourceArn": "arn:aws:s3:::it"}}, Principal={"Service": "s3.amazonaws.com"})],
    ),
    "a workflow of one branch": ("not-public", [workflow("repo:owner/name:ref:refs/heads/main", "StringEquals")]),
    "a text that is no policy": ("not-public", [made("aws:ssm/parameter:Parameter", value='{"a": "a statement"}')]),
    "TLS by a queue's own policy": ("tls-only", [queue("it")]),
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


@pytest.mark.parametrize("file", sorted((ROOT / ".github" / "roles").glob("*-trust.json")), ids=lambda path: path.name)
def test_whom_the_roles_of_ci_trust_is_named(file: Path):
    assert not findings("not-public", [made(tokens.ROLE, assumeRolePolicy=file.read_text())])


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("{", "it is not JSON, "),
        ("[" * 100_000, "it is not JSON, "),
        ("\ufeff{}", "it is not JSON, "),
        ('{"Statement": [], "Statement": []}', "'Statement' stands in it twice"),
        ("[]", "it is no object with a Statement"),
        ('{"Statement": null}', "it is no object with a Statement"),
        ('{"statement": []}', "it is no object with a Statement"),
        ('{"Statement": [7]}', "a statement is 7, "),
        ('{"Statement": {"effect": "Allow"}}', "a statement has 'effect', "),
        ('{"Statement": {"Effect": "allow"}}', "a statement's Effect is 'allow', "),
        ('{"Statement": {"Effect": "Allow"}}', "none, or both, of Action and NotAction"),
        ('{"Statement": {"Effect": "Allow", "Action": [1]}}', "a statement's Action is [1], "),
        ('{"Statement": {"Effect": "Allow", "Action": "a", "Principal": []}}', "a statement's Principal is [], "),
        ('{"Statement": {"Effect": "Allow", "Action": "a", "Condition": ["b"]}}', "a statement's Condition is ['b'], "),
    ],
)
@pytest.mark.parametrize("kind", [tokens.BUCKET_POLICY, tokens.ROLE_POLICY])
def test_a_policy_that_cannot_be_read_is_a_finding_and_stops_no_rule(kind: str, policy: str, said: str):
    broken = made(kind, policy=policy)
    (found,) = findings("not-public", [broken])
    assert found.startswith("policy cannot be read: ") and said in found
    for rule in RULES:
        list(rule.findings([BUCKET, broken]) if isinstance(rule, StackRule) else rule.findings(broken))
