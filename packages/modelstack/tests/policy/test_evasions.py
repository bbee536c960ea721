"""What breaks the intent of a rule in another form than the plain one, and what only looks as if it did."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from modelstack.policy import tokens
from modelstack.policy.rule import UNKNOWN, Declared
from modelstack.policy.rules import RULES
from tests.policy.fixtures import BUCKET, GITHUB, USER, allow, document, encryption, findings, made, trusting

ROOT = Path(__file__).resolve().parents[4]
OBJECTS = "arn:aws:s3:::it/*"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
EVERYBODY = document(allow("s3:GetObject", Principal="*"))
GROUP = "aws:ec2/securityGroup:SecurityGroup"
WITHOUT_TLS = {"aws:SecureTransport": "false"}


def role(*statements: dict[str, Any]) -> Declared:
    return made(tokens.ROLE_POLICY, policy=document(*statements))


def may(action: str, resource: str = OBJECTS) -> list[Declared]:
    return [role(allow(action, resource))]


def shared(condition: dict[str, Any] | None = None, **more: Any) -> list[Declared]:
    given = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": OBJECTS, **more}
    return [made(tokens.BUCKET_POLICY, policy=document({**given, "Condition": condition or {}}))]


def from_network(addresses: str) -> dict[str, Any]:
    return allow("s3:GetObject", Principal="*", Condition={"IpAddress": {"aws:SourceIp": addresses}})


def denies(**more: Any) -> Declared:
    given = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::it", OBJECTS]}
    return made(tokens.BUCKET_POLICY, policy=document({**given, "Condition": {"Bool": WITHOUT_TLS}, **more}))


def expires(**expiration: Any) -> Declared:
    old = {"noncurrentVersionExpiration": {"noncurrentDays": 1}}
    return made(tokens.BUCKET_LIFECYCLE, rules=[{"status": "Enabled", "expiration": expiration, **old}])


def workflow(subject: Any, operator: str = "StringLike", audience: str = "sts.amazonaws.com") -> Declared:
    aud, sub = {f"{GITHUB}:aud": audience}, {f"{GITHUB}:sub": subject}
    return trusting({operator: {**aud, **sub}} if operator == "StringEquals" else {"StringLike": aud, operator: sub})


def queue(name: str, **more: Any) -> Declared:
    refuses = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*"}
    return made(tokens.QUEUE, name, name=name, policy=document({**refuses, "Condition": {"Bool": WITHOUT_TLS}, **more}))


def everything(**more: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", **more}]}


def said(name: str, stack: Sequence[Declared]) -> list[str]:
    (rule,) = (rule for rule in RULES if rule.name == name)
    return [text for _, text in findings(rule, stack)]


GROWS = {
    **{"instanceType": "ml.m5.large", "initialInstanceCount": 1},
    "managedInstanceScaling": {"maxInstanceCount": 100},
}
BREAKS: dict[str, dict[str, list[Declared]]] = {
    "no-wildcard": {
        "a question mark is a wildcard": may("s3:GetObjec?"),
        "every bucket by its ARN": may("s3:GetObject", "arn:aws:s3:::*"),
        "every object by its ARN": may("s3:GetObject", "arn:aws:s3:::*/*"),
        "every ARN": may("s3:GetObject", "arn:*"),
        "every table of every account": may("dynamodb:GetItem", "arn:aws:dynamodb:*:*:*"),
        "every role by a letter": may("iam:PassRole", "arn:aws:iam::1:role/a*"),
        "every table by half a type": may("dynamodb:GetItem", "arn:aws:dynamodb:x:1:table*"),
        "every role of services": may("iam:PassRole", "arn:aws:iam::1:role/service-role/*"),
        "a role of any account": may("sts:AssumeRole", "arn:aws:iam::*:role/deploy"),
        "every bucket that ends so": may("s3:GetObject", "arn:aws:s3:::*-it/*"),
        "a bucket that the request names": may("s3:GetObject", "arn:aws:s3:::${aws:username}/*"),
        "the logs of all functions": may("logs:GetLogEvents", "arn:aws:logs:x:1:log-group:/aws/lambda/*"),
        "a group": [made("aws:iam/groupPolicyAttachment:GroupPolicyAttachment", policyArn=ADMINISTRATOR)],
        "all whom an attachment names": [made("aws:iam/policyAttachment:PolicyAttachment", policyArn=ADMINISTRATOR)],
        "a policy by another provider": [made("aws-native:iam:Role", policies=[{"policyDocument": everything()}])],
        "a policy within a list": [
            made(tokens.ROLE, inlinePolicies=[{"policy": UNKNOWN}, {"policy": json.dumps(everything())}])
        ],
        "a policy that says for whom it is": [role(allow("*", Principal={"AWS": USER}))],
        "a policy of AWS after what is not known": [
            made(tokens.ROLE, managedPolicyArns=[UNKNOWN, "arn:aws-cn:iam::aws:policy/IAMFullAccess"])
        ],
        "a right to take any right": may("iam:PutRolePolicy", "arn:aws:iam::1:role/it-self"),
        "an escaped wildcard": [made(tokens.ROLE_POLICY, policy=document(allow("s3:*")).replace("*", "\\u002a"))],
    },
    "not-public": {
        "everybody with TLS": shared({"Bool": {"aws:SecureTransport": "true"}}),
        "everybody with an ARN": shared({"StringLike": {"aws:PrincipalArn": "*"}}),
        "every address": shared({"IpAddress": {"aws:SourceIp": ["0.0.0.0/0"]}}),
        "everybody else": shared({"StringNotEquals": {"aws:PrincipalAccount": "1"}}),
        "who has no organization": shared({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}),
        "every account by its length": shared({"StringLike": {"aws:SourceAccount": "????????????"}}),
        "an account, or any": shared({"StringLike": {"aws:SourceAccount": ["1", "*"]}}),
        "every role of every account": shared({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}}),
        "everybody is who they are": shared({"StringEquals": {"aws:PrincipalAccount": "${aws:PrincipalAccount}"}}),
        "every address in small parts": shared({"IpAddress": {"aws:SourceIp": [f"{at}.0.0.0/8" for at in range(256)]}}),
        "every address in several statements": [
            made(tokens.BUCKET_POLICY, policy=document(*(from_network(f"{at}.0.0.0/8") for at in (1, 2))))
        ],
        "every address of IPv4, as IPv6": shared({"IpAddress": {"aws:SourceIp": "::ffff:0:0/96"}}),
        "every address, with a mask": shared({"IpAddress": {"aws:SourceIp": "0.0.0.0/0.0.0.0"}}),
        "every address, in short": shared({"IpAddress": {"aws:SourceIp": "0/0"}}),
        "everybody, escaped": [made(tokens.BUCKET_POLICY, policy=EVERYBODY.replace('"*"', '"\\u002a"'))],
        "everybody with more wildcards": shared(Principal={"AWS": "**"}),
        "everybody among services": shared(Principal={"AWS": USER, "Service": ["*"]}),
        "every identity of AWS": shared(Principal={"Federated": "cognito-identity.amazonaws.com"}),
        "every address in halves": shared({"IpAddress": {"aws:SourceIp": ["0.0.0.0/1", "128.0.0.0/1"]}}),
        "a network that anybody can make": shared({"IpAddress": {"aws:VpcSourceIp": "10.0.0.0/16"}}),
        "every organization": shared({"StringLike": {"aws:PrincipalOrgID": "o-*"}}),
        "who has no account": shared({"ForAllValues:StringEquals": {"aws:PrincipalAccount": "1"}}),
        "everybody among others": shared(Principal={"AWS": [USER, "*"]}),
        "everybody by another kind": shared(Principal={"*": "*"}),
        "every account's administrator": shared(Principal={"AWS": "arn:aws:iam::*:root"}),
        "a service for every bucket": shared(
            {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}}, Principal={"Service": "s3.amazonaws.com"}
        ),
        "all but one": [
            made(tokens.BUCKET_POLICY, policy=document(allow("s3:GetObject", NotPrincipal={"AWS": "arn:x"})))
        ],
        "a database for everybody": [made("aws:rds/instance:Instance", publiclyAccessible=True)],
        "an object for everybody": [made("aws:s3/bucketObjectv2:BucketObjectv2", acl="public-read")],
        "a cluster for everybody": [made("aws:eks/cluster:Cluster", vpcConfig={"endpointPublicAccess": True})],
        "a cluster that says nothing": [made("aws:eks/cluster:Cluster", vpcConfig={"subnetIds": ["s"]})],
        "a notebook that says nothing": [made("aws:sagemaker/notebookInstance:NotebookInstance", roleArn="r")],
        "a load balancer that says nothing": [made("aws:lb/loadBalancer:LoadBalancer")],
        "a function's URL": [made("aws:lambda/functionUrl:FunctionUrl", authorizationType="NONE")],
        "every address of IPv6 in a group": [made(GROUP, ingress=[{"ipv6CidrBlocks": ["::/0"]}])],
        "every address among others in a group": [made(GROUP, ingress=[{"cidrBlocks": [UNKNOWN, "0.0.0.0/0"]}])],
        "every address in a rule": [made(f"{GROUP}Rule", type="ingress", cidrBlocks=["0.0.0.0/0"])],
        "every address in a rule of one": [made("aws:vpc/securityGroupIngressRule:R", cidrIpv6="::/0")],
        "routes of every namespace": [
            made(
                "kubernetes:gateway.networking.k8s.io/v1:Gateway",
                spec={"listeners": [{"allowedRoutes": {"namespaces": {"from": "All"}}}]},
            )
        ],
        "a workflow of any repository": [workflow(["repo:owner/name:*", "repo:*:pull_request"])],
        "a workflow of any name": [workflow("repo:owner/*")],
        "a workflow without a subject": [workflow("repo:owner/name:*", "StringLikeIfExists")],
        "a workflow for any audience": [workflow("repo:owner/name:*", "ForAnyValue:StringLike", audience="*")],
        "a policy of a type that no rule names": [
            made("aws:glue/resourcePolicy:ResourcePolicy", policy=json.dumps(everything(Principal="*")))
        ],
        "a policy beside what is not known": [
            made(tokens.BUCKET, acl=UNKNOWN, policy=json.dumps(everything(Principal="*")))
        ],
    },
    "tls-only": {
        "for one action": [BUCKET, denies(Action="s3:PutObject")],
        "for objects": [BUCKET, denies(Resource=OBJECTS)],
        "for the bucket": [BUCKET, denies(Resource="arn:aws:s3:::it")],
        "from one network": [
            BUCKET,
            denies(Condition={"Bool": WITHOUT_TLS, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
        ],
        "for one of two kinds": [BUCKET, denies(Condition={"Bool": {**WITHOUT_TLS, "aws:ViaAWSService": "true"}})],
        "for every service": [BUCKET, denies(Principal={"AWS": "arn:aws:iam::1:role/x", "Service": "*"})],
        "for what nobody asks": [queue("it", Action="sqs:ListQueues")],
        "by what is sent": [made(tokens.SUBSCRIPTION, protocol="http", endpoint="http://x")],
        "for another queue": [queue("other"), made(tokens.QUEUE, name="it")],
    },
    "own-key": {
        "a key of AWS by its ARN": [encryption(kmsMasterKeyId="arn:aws:kms:x:1:alias/aws/s3")],
        "a key that is named and not used": [
            made(tokens.REPOSITORY, encryptionConfigurations=[{"encryptionType": "AES256", "kmsKey": "arn:key"}])
        ],
    },
    "objects-end": {"nothing but markers expires": [expires(expiredObjectDeleteMarker=True)]},
    "cost-ceiling": {"it may grow": [made(tokens.CONFIG, productionVariants=[GROWS])]},
}
KEEPS: dict[str, dict[str, list[Declared]]] = {
    "no-wildcard": {
        "objects below a name": may("s3:GetObject", "arn:aws:s3:::it/audit/*"),
        "streams of a log": may("logs:PutLogEvents", "arn:aws:logs:x:1:log-group:/it:*"),
        "a path of roles": may("iam:PassRole", "arn:aws:iam::1:role/it/*"),
        "a topic's subscriptions": may("sns:Unsubscribe", "arn:aws:sns:x:1:it:*"),
    },
    "not-public": {
        "roles of one account": shared({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::1:role/*"}}),
        "a service for one bucket": shared(
            {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::it"}}, Principal={"Service": "s3.amazonaws.com"}
        ),
        "an organization": shared({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}),
        "an owner, in other letters": shared({"StringEquals": {"AWS:SourceOwner": "1"}}),
        "two networks": shared({"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"]}}),
        "a network, and TLS": shared(
            {"Bool": {"aws:SecureTransport": "true"}, "IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
        ),
        "a workflow of one branch": [workflow("repo:owner/name:ref:refs/heads/main", "StringEquals")],
        "a group of one network, which may call every address": [
            made(GROUP, ingress=[{"cidrBlocks": ["10.0.0.0/8", UNKNOWN]}], egress=[{"cidrBlocks": ["0.0.0.0/0"]}])
        ],
        "a rule on what may be called": [made(f"{GROUP}Rule", type="egress", cidrBlocks=["0.0.0.0/0"])],
        "a cluster of its network": [made("aws:eks/cluster:Cluster", vpcConfig={"endpointPublicAccess": False})],
        "a text that is no policy": [made("aws:ssm/parameter:Parameter", value='{"a": "a statement"}')],
    },
    "tls-only": {
        "by a queue's own policy": [queue("it")],
        "in a list": [BUCKET, denies(Condition={"Bool": {"aws:SecureTransport": ["false"]}})],
        "in other letters": [BUCKET, denies(Condition={"Bool": {"AWS:securetransport": False}})],
        "if it is told": [BUCKET, denies(Condition={"BoolIfExists": WITHOUT_TLS})],
        "by one pattern": [BUCKET, denies(Resource="arn:aws:s3:::it*")],
        "in two policies": [BUCKET, denies(Resource="arn:aws:s3:::it"), denies(Resource=OBJECTS)],
    },
}


def cases(of: dict[str, dict[str, list[Declared]]]) -> list[Any]:
    return [pytest.param(rule, case, id=f"{rule}: {name}") for rule, all_ in of.items() for name, case in all_.items()]


@pytest.mark.parametrize(("rule", "resources"), cases(BREAKS))
def test_another_form_of_what_is_forbidden_is_found(rule: str, resources: list[Declared]):
    assert said(rule, resources)


@pytest.mark.parametrize(("rule", "resources"), cases(KEEPS))
def test_another_form_of_what_is_allowed_is_no_finding(rule: str, resources: list[Declared]):
    assert not said(rule, resources)


FORBIDDEN = (
    "aws-native:s3:Bucket",
    "aws:cloudformation/stack:Stack",
    "aws:ec2/securityGroup:SecurityGroup",
    "aws:s3/bucketAclV2:BucketAclV2",
    "kubernetes:core/v1:Pod",
    "kubernetes:rbac.authorization.k8s.io/v1beta1:Role",
    "pulumi-python:dynamic:Resource",
    "AWS:s3/bucket:Bucket",
)
"""Types by which something was opened, shared or made an administrator without a policy document in sight."""


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_a_type_without_checks_is_found_whatever_its_properties(kind: str):
    (found,) = said("known-types", [made(tokens.current(kind), acl=UNKNOWN)])
    assert f"an exemption names it {tokens.current(kind)}::it" in found


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
    assert not said("not-public", [made(tokens.ROLE, assumeRolePolicy=file.read_text())])


@pytest.mark.parametrize(
    ("policy", "why"),
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
def test_a_policy_that_cannot_be_read_is_a_finding_and_stops_no_rule(kind: str, policy: str, why: str):
    broken = made(kind, policy=policy)
    (found,) = said("not-public", [broken])
    assert found.startswith("policy cannot be read: ") and why in found
    for rule in RULES:
        findings(rule, [BUCKET, broken])
