"""Rules on encryption at rest and in transit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modelstack.policy import tokens
from modelstack.policy.documents import listed, statements
from modelstack.policy.principals import refuses_without_tls
from modelstack.policy.rule import Declared, Finding, ResourceRule, StackRule, items_at, of_type, value_at

_AWS_OWN = "alias/aws/"
_KEY_OF = {
    tokens.CONFIG: ("kmsKeyArn",),
    tokens.QUEUE: ("kmsMasterKeyId",),
    tokens.TABLE: ("serverSideEncryption", "kmsKeyArn"),
    tokens.TOPIC: ("kmsMasterKeyId",),
}
"""The path of a resource's encryption key, by type."""
_POLICIES_OF = {
    tokens.BUCKET: ("bucket", tokens.BUCKET_POLICY, {"*", "s3:*"}),
    tokens.QUEUE: ("name", tokens.QUEUE, {"*", "sqs:*"}),
    tokens.TOPIC: ("name", tokens.TOPIC, {"*", "sns:*", "sns:publish"}),
}
"""By type of store: its name's property, the type that holds its policy, and the actions that include all others."""


def _own_key(resource: Declared) -> Iterator[str]:
    if resource.type == tokens.BUCKET_ENCRYPTION:
        defaults = [value_at(rule, "applyServerSideEncryptionByDefault") for rule in items_at(resource.values, "rules")]
        with_kms = all(str(value_at(each, "sseAlgorithm")).startswith("aws:kms") for each in defaults)
        keys = [value_at(each, "kmsMasterKeyId") if with_kms else None for each in defaults] or [None]
    elif resource.type == tokens.REPOSITORY:
        ways = items_at(resource.values, "encryptionConfigurations")
        with_kms = all(str(value_at(each, "encryptionType")).startswith("KMS") for each in ways)
        keys = [value_at(each, "kmsKey") if with_kms else None for each in ways] or [None]
    else:
        keys = [resource.get(*_KEY_OF[resource.type])]
    for key in keys:
        if not key:
            yield "it names no KMS key"
        elif _AWS_OWN in str(key):
            yield f"its key is {key}, which AWS owns"


def _encrypted(resource: Declared) -> Iterator[str]:
    if resource.type == tokens.TABLE:
        on = resource.get("serverSideEncryption", "enabled")
    else:
        on = resource.get("kmsMasterKeyId") or resource.get("sqsManagedSseEnabled")
    if not on:
        yield "its encryption is not switched on"


def _rotates(resource: Declared) -> Iterator[str]:
    signs = (resource.get("keyUsage") or "ENCRYPT_DECRYPT") != "ENCRYPT_DECRYPT"
    if not signs and not resource.get("enableKeyRotation"):
        yield "enableKeyRotation is not true"


def _tls_only(resources: Sequence[Declared]) -> Iterator[Finding]:
    for subscription in of_type(resources, tokens.SUBSCRIPTION):
        if subscription.values.get("protocol") == "http":
            yield subscription, "its messages are sent by http"
    for kind, (named, holding, actions) in _POLICIES_OF.items():
        stores = of_type(resources, kind)
        covered = [
            (str(arn), holder)
            for holder in (of_type(resources, holding) if stores else ())
            if holder.get("policy")
            for statement in statements(holder)
            if refuses_without_tls(statement)
            if actions.intersection(action.lower() for action in listed(statement.get("Action")))
            for arn in listed(statement.get("Resource"))
        ]
        for store in stores:
            name = store.get(named)
            parts = (f":{name}", f":{name}/*") if kind == tokens.BUCKET else (f":{name}",)
            for part in parts:
                ends = (part, f":{name}*")
                if not any(arn.endswith(ends) or (arn == "*" and holder is store) for arn, holder in covered):
                    yield store, "no policy refuses requests without TLS"
                    break


RULES = (
    ResourceRule(
        name="own-key",
        requires="What is stored is encrypted with a KMS key of the stack's own.",
        control="Security Hub S3.17, SNS.1, SQS.1, ECR.5",
        fix="Name a key of the stack.",
        types=frozenset({*_KEY_OF, tokens.BUCKET_ENCRYPTION, tokens.REPOSITORY}),
        check=_own_key,
    ),
    ResourceRule(
        name="encrypted",
        requires="Tables and queues are encrypted at rest, by whichever key.",
        control="Security Hub SQS.1",
        fix="Set serverSideEncryption of a table; sqsManagedSseEnabled or kmsMasterKeyId of a queue.",
        types=frozenset({tokens.TABLE, tokens.QUEUE}),
        check=_encrypted,
    ),
    ResourceRule(
        name="key-rotation",
        requires="KMS keys that encrypt are rotated each year.",
        control="Security Hub KMS.4, CIS AWS 3.0 3.6",
        fix="Set enableKeyRotation.",
        types=frozenset({tokens.KEY}),
        check=_rotates,
    ),
    StackRule(
        name="tls-only",
        requires="Buckets, queues and topics refuse requests without TLS, and a subscription sends none.",
        control="Security Hub S3.5, CIS AWS 3.0 2.1.1",
        fix="Give it a policy that denies everybody when aws:SecureTransport is false.",
        check=_tls_only,
    ),
)
