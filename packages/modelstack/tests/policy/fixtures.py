"""For each rule a stack that keeps to it and one that breaks it, as few resources as that takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modelstack.policy import tokens
from modelstack.policy.rule import Declared, Finding, ResourceRule, Rule, StackRule


def findings(rule: Rule, stack: Sequence[Declared]) -> list[Finding]:
    if isinstance(rule, StackRule):
        return list(rule.findings(stack))
    assert isinstance(rule, ResourceRule)
    return [finding for resource in stack for finding in rule.findings(resource)]


TAGS = {"project": "modelstack", "owner": "modelstack"}


def made(
    kind: str, name: str = "it", /, *, stack: str = "dev", default_tags: Mapping[str, str] | None = None, **values: Any
) -> Declared:
    urn = f"urn:pulumi:{stack}::modelstack::modelstack:index:Parent${kind}::{name}"
    return Declared(kind, name, urn, values, default_tags or {})


def document(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str | list[str], resource: str = "arn:aws:s3:::it/*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def tls(arn: str) -> str:
    without = {"Bool": {"aws:SecureTransport": "false"}}
    return document(
        {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": [arn, f"{arn}/*"], "Condition": without}
    )


def config(
    name: str = "solo", stack: str = "dev", *, count: int = 1, kind: str = "ml.m5.large", **more: Any
) -> Declared:
    variant = {"variantName": "v-1", "instanceType": kind, "initialInstanceCount": count}
    capture = {
        "enableCapture": True,
        "initialSamplingPercentage": 100,
        "captureOptions": [{"captureMode": "Input"}, {"captureMode": "Output"}],
    }
    values = {"productionVariants": [variant], "dataCaptureConfig": capture} | more
    return made(tokens.CONFIG, name, stack=stack, **values)


def alarm(name: str, metric: str = "ModelLatency", **more: Any) -> Declared:
    """An alarm of `v-1` that notifies a topic."""
    values = {
        "name": name,
        "metricQueries": [reads("v-1", metric)],
        "treatMissingData": "breaching",
        "alarmActions": ["arn:topic"],
    }
    return made(tokens.METRIC_ALARM, name, **(values | more))


def reads(variant: str, metric: str = "Invocation5XXErrors") -> dict[str, Any]:
    return {"id": variant, "metric": {"metricName": metric, "dimensions": {"VariantName": variant}}}


def encryption(algorithm: str = "aws:kms", **key: str) -> Declared:
    default = {"sseAlgorithm": algorithm, **key}
    return made(tokens.BUCKET_ENCRYPTION, bucket="it", rules=[{"applyServerSideEncryptionByDefault": default}])


def closed(**more: bool) -> Declared:
    names = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    return made(tokens.BUCKET_CLOSED, bucket="it", **(dict.fromkeys(names, True) | more))


def lifecycle(*rules: Mapping[str, Any]) -> Declared:
    return made(tokens.BUCKET_LIFECYCLE, bucket="it", rules=[{"status": "Enabled", **rule} for rule in rules])


@dataclass(frozen=True)
class Pair:
    """Stacks that keep to a rule; and the texts of its findings -> the stacks that break it so."""

    keeps: Sequence[Declared | Sequence[Declared]]
    breaks: Mapping[str | tuple[str, ...], Sequence[Declared | Sequence[Declared]]]

    def kept(self) -> list[list[Declared]]:
        return [_stack(item) for item in self.keeps]

    def broken(self) -> list[tuple[list[Declared], list[str]]]:
        found = [(text, item) for text, items in self.breaks.items() for item in items]
        return [(_stack(item), [text] if isinstance(text, str) else [*text]) for text, item in found]


def _stack(item: Declared | Sequence[Declared]) -> list[Declared]:
    return [item] if isinstance(item, Declared) else [*item]


def says(kind: str, *statements: Mapping[str, Any], under: str = "policy") -> Declared:
    return made(kind, **{under: document(*statements)})


def right(verb: str, resource: str, **more: Any) -> dict[str, Any]:
    return {"apiGroups": [""], "resources": [resource], "verbs": [verb], **more}


def role(*rules: Mapping[str, Any]) -> Declared:
    return made(tokens.CLUSTER_ROLE, rules=list(rules))


def bound(who: str, kind: str = "Role", name: str = "it") -> Declared:
    subjects = [{"kind": "Group", "name": who}]
    return made(tokens.CLUSTER_BINDING, roleRef={"kind": kind, "name": name}, subjects=subjects)


def network(way: str, rule: Mapping[str, Any]) -> Declared:
    return made(tokens.NETWORK_POLICY, spec={way: [rule]})


def pods(*, container: Mapping[str, Any] | None = None, **more: Any) -> Declared:
    own = {"name": "it", "securityContext": LOCKED, **(container or {})}
    security = {"runAsNonRoot": True, "seccompProfile": SECCOMP}
    pod = {"securityContext": security, "containers": [own], **more}
    return made(tokens.DEPLOYMENT, spec={"template": {"spec": pod}})


LOCKED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
HTTP, HALVES = {"port": 8080}, [{"ipBlock": {"cidr": f"{half}.0.0.0/1"}} for half in (0, 128)]
SECCOMP = {"type": "RuntimeDefault"}
SERVICE = made(tokens.CLUSTER_SERVICE, apiVersion="v1", kind="Service", metadata={"namespace": "models"}, spec={})
BUCKET = made(tokens.BUCKET, bucket="it")
VERSIONED = made(tokens.BUCKET_VERSIONING, bucket="it", versioningConfiguration={"status": "Enabled"})
PARTS = (closed(), encryption(), lifecycle(), VERSIONED)
ENDPOINT = made(tokens.ENDPOINT, name="it")
HEARS = made(tokens.SUBSCRIPTION, protocol="lambda")
QUEUE_ARN, TOPIC_ARN = "arn:aws:sqs:us-east-1:1:it", "arn:aws:sns:us-east-1:1:it"
KEY = {"kmsMasterKeyId": "arn:aws:kms:us-east-1:1:key/it"}
EXPIRES = {"expiration": {"days": 30}, "noncurrentVersionExpiration": {"noncurrentDays": 1}}
COMPOSITE = made(tokens.COMPOSITE_ALARM, alarmRule='ALARM("quiet")', alarmActions=["arn:topic"])
DENIES_ALL = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": QUEUE_ARN}
ASSUME = "sts:AssumeRole"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
USER = "arn:aws:iam::000000000000:role/it"
OF_ACCOUNT = {
    "Principal": {"Service": "es.amazonaws.com"},
    "Condition": {"StringEquals": {"aws:SourceAccount": "000000000000"}},
}
WEB, GITHUB = "sts:AssumeRoleWithWebIdentity", "token.actions.githubusercontent.com"
PROVIDER = f"arn:aws:iam::000000000000:oidc-provider/{GITHUB}"
GITHUB_ASKED = {
    "StringEquals": {f"{GITHUB}:aud": "sts.amazonaws.com"},
    "StringLike": {f"{GITHUB}:sub": "repo:owner/name:ref:refs/heads/*"},
}


def trusting(condition: Mapping[str, Any]) -> Declared:
    """A role for workflows on GitHub."""
    statement = {"Effect": "Allow", "Principal": {"Federated": PROVIDER}, "Action": WEB, "Condition": condition}
    return made(tokens.ROLE, assumeRolePolicy=document(statement))


NO_TLS, NO_KEY = "no policy refuses requests without TLS", "it names no KMS key"
ANYBODY = {"Principal": {"AWS": "*"}}
TELLS_NOBODY = "it tells nobody, and no composite alarm asks about it"
NOTHING_ENDS = ("no rule lets anything expire", "old versions are kept for ever")
FIXTURES: Mapping[str, Pair] = {
    "known-types": Pair(
        keeps=[BUCKET, made("modelstack:index:Registry"), made("pulumi:providers:aws"), SERVICE],
        breaks={
            "no check knows what its type aws:cloudformation/stack:Stack may open or share; an exemption names it "
            "aws:cloudformation/stack:Stack::it": [made("aws:cloudformation/stack:Stack")],
            "its manifest is of kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": [
                replace(SERVICE, values={"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding"})
            ],
            "it is in namespace kube-system, which is the cluster's own: use that of the stack": [
                replace(SERVICE, values={**SERVICE.values, "metadata": {"namespace": "kube-system"}})
            ],
        },
    ),
    "cluster-rights": Pair(
        keeps=[
            role(right("get", "secrets", resourceNames=["it"])),
            role(right("list", "pods"), right("patch", "deployments/scale")),
            bound("system:serviceaccounts:ci"),
        ],
        breaks={
            "* on leases has a wildcard": [role(right("*", "leases"))],
            "get on secrets names no Secret in resourceNames": [role(right("get", "secrets"))],
            "patch on roles gives rights to itself": [role(right("patch", "roles", apiGroups=["rbac.authorization"]))],
            "create on pods acts as any pod of the namespace": [role(right("create", "pods"))],
            "it binds ClusterRole admin, and no Role of the stack": [bound("ci", "ClusterRole", "admin")],
            "it is for system:authenticated": [bound("system:authenticated")],
        },
    ),
    "cluster-closed": Pair(
        keeps=[SERVICE, network("ingress", {"ports": [HTTP]})],
        breaks={
            "its type is LoadBalancer": [made(tokens.CLUSTER_SERVICE, spec={"type": "LoadBalancer"})],
            "it has externalIPs": [made(tokens.CLUSTER_SERVICE, spec={"externalIPs": ["192.0.2.1"]})],
            "egress is allowed on ports that it does not name": [
                network("egress", rule)
                for rule in ({}, {"ports": [{"protocol": "TCP"}]}, {"ports": [{"port": 1, "endPort": 65535}]})
            ],
            "ingress is allowed for 0.0.0.0/1, 128.0.0.0/1": [network("ingress", {"ports": [HTTP], "from": HALVES})],
        },
    ),
    "pods-restricted": Pair(
        keeps=[pods(), pods(volumes=[{"name": "scratch", "emptyDir": {}}])],
        breaks={
            "hostNetwork is true": [pods(hostNetwork=True)],
            "volume host is a hostPath": [pods(volumes=[{"name": "host", "hostPath": {"path": "/"}}])],
            "container it: runAsNonRoot is None": [pods(securityContext={"seccompProfile": SECCOMP})],
            "container it: it is privileged": [pods(container={"securityContext": {**LOCKED, "privileged": True}})],
            "container it: it takes a port of the node": [pods(container={"ports": [{"hostPort": 80}]})],
            ("container it: allowPrivilegeEscalation is not false", "container it: its capabilities are not dropped"): [
                pods(container={"securityContext": {}})
            ],
        },
    ),
    "own-key": Pair(
        keeps=[
            encryption(**KEY),
            made(tokens.TABLE, serverSideEncryption={"enabled": True, "kmsKeyArn": "arn:key"}),
            made(tokens.REPOSITORY, encryptionConfigurations=[{"encryptionType": "KMS", "kmsKey": "arn:key"}]),
        ],
        breaks={
            NO_KEY: [
                encryption("AES256"),
                encryption("AES256", **KEY),
                encryption(),
                made(tokens.BUCKET_ENCRYPTION, bucket="it", rules=[]),
                made(tokens.TABLE, serverSideEncryption={"enabled": True}),
                made(tokens.REPOSITORY),
            ],
            "its key is alias/aws/sns, which AWS owns": [made(tokens.TOPIC, kmsMasterKeyId="alias/aws/sns")],
        },
    ),
    "encrypted": Pair(
        keeps=[
            made(tokens.TABLE, serverSideEncryption={"enabled": True}),
            made(tokens.QUEUE, sqsManagedSseEnabled=True),
            made(tokens.QUEUE, **KEY),
        ],
        breaks={
            "its encryption is not switched on": [made(tokens.TABLE), made(tokens.QUEUE, sqsManagedSseEnabled=False)]
        },
    ),
    "key-rotation": Pair(
        keeps=[made(tokens.KEY, enableKeyRotation=True), made(tokens.KEY, keyUsage="SIGN_VERIFY")],
        breaks={"enableKeyRotation is not true": [made(tokens.KEY)]},
    ),
    "tls-only": Pair(
        keeps=[
            [BUCKET, made(tokens.BUCKET_POLICY, bucket="it", policy=tls("arn:aws:s3:::it"))],
            made(tokens.QUEUE, name="it", policy=tls(QUEUE_ARN)),
            made(tokens.TOPIC, name="it", policy=tls(TOPIC_ARN)),
        ],
        breaks={
            NO_TLS: [
                BUCKET,
                [BUCKET, made(tokens.BUCKET_POLICY, bucket="other", policy=tls("arn:aws:s3:::other"))],
                made(tokens.QUEUE, name="it", policy=document(DENIES_ALL)),
                made(tokens.QUEUE, name="it", policy=tls(QUEUE_ARN).replace("Deny", "Allow")),
            ]
        },
    ),
    "not-public": Pair(
        keeps=[
            closed(),
            says(tokens.QUEUE, DENIES_ALL),
            says(tokens.REPOSITORY_POLICY, allow("ecr:BatchGetImage", "*", Principal={"AWS": USER})),
            says(tokens.QUEUE, allow("sqs:SendMessage", **OF_ACCOUNT)),
            made(tokens.FUNCTION_PERMISSION, principal="s3.amazonaws.com", sourceArn="arn:aws:s3:::it"),
            made(tokens.FUNCTION_PERMISSION, principal="sns.amazonaws.com", sourceAccount="000000000000"),
            made(tokens.FUNCTION_PERMISSION, principal="*", principalOrgId="o-1"),
            trusting(GITHUB_ASKED),
            says(tokens.ROLE, allow(ASSUME, Principal={"Service": "lambda"}), under="assumeRolePolicy"),
        ],
        breaks={
            "blockPublicPolicy is not true": [closed(blockPublicPolicy=False)],
            "its acl is public-read": [made(tokens.BUCKET, acl="public-read")],
            "its ACL has grants": [made(tokens.BUCKET, grants=[{"type": "Group"}])],
            "everybody may call the function": [made(tokens.FUNCTION_PERMISSION, principal="*")],
            "s3.amazonaws.com may call the function for everybody: sourceArn or sourceAccount names no source": [
                made(tokens.FUNCTION_PERMISSION, principal="s3.amazonaws.com", sourceArn="arn:aws:s3:::*")
            ],
            "a statement allows sqs:SendMessage to sns for everybody: no condition names a source": [
                says(tokens.QUEUE, allow("sqs:SendMessage", Principal={"Service": "sns"}))
            ],
            f"a statement allows {WEB} to everybody whom {PROVIDER} knows: no condition names aud and sub": [
                trusting({"StringEquals": {f"{GITHUB}:aud": "sts.amazonaws.com"}})
            ],
            "a statement allows sns:Publish to everybody": [says(tokens.TOPIC, allow("sns:Publish", **ANYBODY))],
            "a statement allows sts:AssumeRole to everybody": [
                says(tokens.ROLE, allow(ASSUME, Principal="*"), under="assumeRolePolicy")
            ],
        },
    ),
    "buckets-whole": Pair(
        keeps=[[BUCKET, *PARTS]],
        breaks={
            "no resource declares its versioning": [[BUCKET, closed(), encryption(), lifecycle()]],
            ("no resource declares its public access block", "no resource declares its lifecycle"): [
                [BUCKET, encryption(), VERSIONED]
            ],
        },
    ),
    "network-isolation": Pair(
        keeps=[made(tokens.MODEL, enableNetworkIsolation=True)],
        breaks={"its container may call any address": [made(tokens.MODEL)]},
    ),
    "images-fixed": Pair(
        keeps=[
            made(tokens.REPOSITORY, imageTagMutability="IMMUTABLE", imageScanningConfiguration={"scanOnPush": True})
        ],
        breaks={
            ("images are not scanned when they are pushed", "a tag may be moved to another image"): [
                made(tokens.REPOSITORY)
            ]
        },
    ),
    "no-wildcard": Pair(
        keeps=[
            says(tokens.ROLE_POLICY, allow("s3:GetObject")),
            says(tokens.ROLE_POLICY, allow("cloudwatch:GetMetricData", "*")),
            says(tokens.ROLE_POLICY, {**allow("s3:*", "*"), "Effect": "Deny"}),
            made(ATTACHMENT, policyArn="arn:aws:iam::000000000000:policy/it"),
        ],
        breaks={
            ("* allows more than one action", "* is allowed on every resource"): [
                says(tokens.ROLE_POLICY, allow("*", "*"))
            ],
            "s3:Get* allows more than one action": [says(tokens.ROLE_POLICY, allow(["s3:Get*"]))],
            "s3:GetObject is allowed on every resource": [says(tokens.ROLE_POLICY, allow("s3:GetObject", "*"))],
            "NotAction allows all but what it names": [
                says(tokens.ROLE_POLICY, {"Effect": "Allow", "NotAction": "iam:*", "Resource": "arn"})
            ],
            "s3:* allows more than one action": [
                made(tokens.ROLE, inlinePolicies=[{"name": "it", "policy": document(allow("s3:*"))}])
            ],
            "arn:aws:iam::aws:policy/AdministratorAccess is kept by AWS, and names no resource of this account": [
                made(ATTACHMENT, policyArn="arn:aws:iam::aws:policy/AdministratorAccess")
            ],
            "iam:PassRole is allowed on every resource like arn:aws:iam::000000000000:role/*": [
                says(tokens.ROLE_POLICY, allow("iam:PassRole", "arn:aws:iam::000000000000:role/*"))
            ],
        },
    ),
    "two-instances": Pair(
        keeps=[
            config(stack="prod", count=2),
            *(config(stack=stack) for stack in ("dev", "pre-prod", "local-3-prod", "products")),
            made(tokens.MODEL, stack="prod", vpcConfig={"subnets": ["a", "b"]}),
        ],
        breaks={
            "variant v-1 has 1 instance": [
                *(config(stack=stack) for stack in ("prod", "production", "eu-prod", "Prod_2")),
                config(tags={"Environment": "production"}),
            ],
            "vpcConfig names one subnet, which lies in one zone": [
                made(tokens.MODEL, stack="prod-eu", vpcConfig={"subnets": ["a"]})
            ],
        },
    ),
    "captured": Pair(
        keeps=[config()],
        breaks={
            "data capture is off": [config(dataCaptureConfig=None)],
            ("0% of the requests are captured", "requests and answers are not both captured"): [
                config(dataCaptureConfig={"enableCapture": True, "captureOptions": [{"captureMode": "Input"}]})
            ],
        },
    ),
    "watched": Pair(
        keeps=[[config(), alarm("slow"), alarm("fails", "Invocation5XXErrors")]],
        breaks={
            "no alarm is on the failures of variant v-1": [
                [config(), alarm("slow")],
                [config(), alarm("slow"), alarm("both", metricQueries=[reads("v-1"), reads("v-2")])],
            ],
            ("no alarm is on the failures of variant v-1", "no alarm is on the latency of variant v-1"): [
                [config(), config("pair")]
            ],
        },
    ),
    "alarms-tell": Pair(
        keeps=[alarm("loud"), [alarm("quiet", alarmActions=[]), COMPOSITE]],
        breaks={
            "it does not say what missing data means": [alarm("loud", treatMissingData=None)],
            TELLS_NOBODY: [[alarm("silent", alarmActions=[]), COMPOSITE], alarm("off", actionsEnabled=False)],
            "it tells nobody": [made(tokens.COMPOSITE_ALARM, alarmRule="TRUE")],
        },
    ),
    "way-back": Pair(
        keeps=[
            [ENDPOINT, HEARS, alarm("loud")],
            made(tokens.ENDPOINT, deploymentConfig={"autoRollbackConfiguration": {"alarms": [{"alarmName": "it"}]}}),
        ],
        breaks={
            "nothing takes a bad release back: no function hears of alarms, and no alarm guards it": [
                ENDPOINT,
                [ENDPOINT, HEARS],
                [ENDPOINT, alarm("loud")],
            ]
        },
    ),
    "signed": Pair(
        keeps=[made(tokens.PACKAGE, signing_key="arn:aws:kms:us-east-1:000000000000:key/signing")],
        breaks={"no key signs it": [made(tokens.PACKAGE)]},
    ),
    "logs-end": Pair(
        keeps=[made(tokens.LOG, retentionInDays=30)], breaks={"its lines are kept for ever": [made(tokens.LOG)]}
    ),
    "objects-end": Pair(
        keeps=[lifecycle(EXPIRES)], breaks={NOTHING_ENDS: [lifecycle(), lifecycle({**EXPIRES, "status": "Disabled"})]}
    ),
    "recoverable": Pair(
        keeps=[made(tokens.TABLE, pointInTimeRecovery={"enabled": True}), VERSIONED],
        breaks={
            "it has no recovery to a point in time": [made(tokens.TABLE)],
            "versions are not kept": [made(tokens.BUCKET_VERSIONING, versioningConfiguration={"status": "Suspended"})],
        },
    ),
    "owned": Pair(
        keeps=[
            made(tokens.BUCKET, tags=TAGS),
            made(tokens.BUCKET, default_tags=TAGS),
            made(tokens.BUCKET, tags={"owner": "me"}, default_tags={"project": "modelstack"}),
            made(tokens.BUCKET_POLICY),
        ],
        breaks={
            ("it has no tag 'project'", "it has no tag 'owner'"): [made(tokens.BUCKET)],
            "it has no tag 'owner'": [made(tokens.BUCKET, tags={"owner": ""}, default_tags=TAGS)],
        },
    ),
    "cost-ceiling": Pair(
        keeps=[
            config(count=2),
            config(kind="ml.p9.large", count=50),
            config(stack="prod", kind="ml.m5.4xlarge", count=2),
        ],
        breaks={
            "its instances cost 673 USD a month, and stack dev may spend 500": [config(kind="ml.m5.4xlarge")],
            "its instances cost 588 USD a month, and stack dev may spend 500": [
                config(shadowProductionVariants=[{"instanceType": "ml.m5.xlarge", "initialInstanceCount": 3}])
            ],
        },
    ),
    "priced": Pair(
        keeps=[config()],
        breaks={"ml.p9.large is not priced, so the ceiling leaves it out": [config(kind="ml.p9.large")]},
    ),
}
