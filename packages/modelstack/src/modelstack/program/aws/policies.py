"""IAM permissions of serving, monitoring and storage, as data.

Those of training are in `modelstack.program.aws.training_policies`, those of MLflow in
`modelstack.program.aws.managed_mlflow`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelstack.platforms.aws.metrics import SAGEMAKER
from modelstack.platforms.aws.names import AUDIT, CAPTURE, CAPTURE_ASIDE, INDEX, LABELS, LABELS_ASIDE, Names
from modelstack.program.aws.statements import (
    PULL,
    Statement,
    allow,
    allow_service,
    bucket_arn,
    document,
    in_namespaces,
    journal,
    lists_bucket,
    members,
    of_account,
    pulls,
    tells,
    tls_only,
    watched_alarms,
)
from modelstack.rollout.core.catalogue import OWN
from modelstack.services.probe import SAMPLE
from modelstack.services.sealed_packages import BASELINE, FORM, PACKAGES, REFERENCE


def accounts_trust(names: Names, accounts: Iterable[str]) -> str:
    """Trust of a role for other accounts, whose administrators decide who uses it."""
    return document({"Effect": "Allow", "Principal": _accounts(names, accounts), "Action": ["sts:AssumeRole"]})


def accounts_pull(names: Names, accounts: Iterable[str]) -> str:
    """The repository's policy: other accounts may pull."""
    return document({"Effect": "Allow", "Principal": _accounts(names, accounts), "Action": list(PULL)})


def _accounts(names: Names, accounts: Iterable[str]) -> dict[str, list[str]]:
    return {"AWS": [names.arn("iam", "root", account=account, region="") for account in accounts]}


def promotion(names: Names, key_arn: str) -> str:
    """The promotion role: read the journal, packages and their versions."""
    return document(
        allow(["dynamodb:GetItem"], [names.arn("dynamodb", f"table/{names.journal}")]),
        allow(["s3:GetObject"], [f"{bucket_arn(names)}/{PACKAGES}/*"]),
        allow(["kms:Decrypt"], [key_arn]),
        allow(["sagemaker:DescribeModelPackage"], [names.arn("sagemaker", f"model-package/{names.package_group}/*")]),
    )


def schedules_trust(names: Names) -> str:
    """Trust of the schedules' role: EventBridge Scheduler, for this account."""
    return document(allow_service("scheduler", "sts:AssumeRole", condition=of_account(names)))


def schedules(names: Names, handlers: Iterable[str]) -> str:
    """The schedules' role: call the scheduled functions."""
    return document(
        allow(["lambda:InvokeFunction"], [names.arn("lambda", f"function:{names.function(one)}") for one in handlers])
    )


def bucket(names: Names) -> str:
    """The bucket's policy: TLS only, and an append-only audit record that only the controller's role writes.

    A destroy of the stack deletes this policy before the bucket.
    """
    denied = {"Effect": "Deny", "Principal": "*", "Resource": [f"{bucket_arn(names)}/{AUDIT}/*"]}
    return document(
        tls_only("s3:*", bucket_arn(names), f"{bucket_arn(names)}/*"),
        {**denied, "Sid": "AuditIsKept", "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"]},
        {
            # Source: Amazon S3 User Guide, "Enforce conditional writes on Amazon S3 buckets".
            **{**denied, "Sid": "AuditIsWrittenOnce", "Action": ["s3:PutObject"]},
            "Condition": {"Null": {"s3:if-none-match": "true"}},
        },
        {
            **{**denied, "Sid": "AuditIsWrittenByTheController", "Action": ["s3:PutObject"]},
            "Condition": _others_than_the_controller(names),
        },
    )


def audit_key(names: Names) -> str:
    """The audit key's policy: IAM decides, but only the controller's role may sign."""
    account = {"AWS": names.arn("iam", "root", region="")}
    return document(
        {"Sid": "Iam", "Effect": "Allow", "Principal": account, "Action": ["kms:*"], "Resource": ["*"]},
        {
            "Sid": "OnlyTheControllerSigns",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["kms:Sign"],
            "Resource": ["*"],
            "Condition": _others_than_the_controller(names),
        },
    )


def _others_than_the_controller(names: Names) -> dict[str, Any]:
    role = names.arn("iam", f"role/{names.function('controller')}", region="")
    return {"ArnNotEquals": {"aws:PrincipalArn": role}}


def captures_dead_letters(names: Names) -> str:
    """The policy of the dead-letter queue of captured files."""
    return document(tls_only("sqs:*", names.arn("sqs", names.captures_dead_letters)))


def captures(names: Names) -> str:
    """The policy of the queue of captured files: the rule may send."""
    queue, rule = names.arn("sqs", names.captures), names.arn("events", f"rule/{names.captures}")
    fills = allow_service("events", "sqs:SendMessage", queue, {"ArnEquals": {"aws:SourceArn": rule}})
    return document(fills, tls_only("sqs:*", queue))


def dead_letters(names: Names) -> str:
    """The policy of the topic's dead-letter queue: the topic may send."""
    topic = {"ArnEquals": {"aws:SourceArn": names.arn("sns", names.alerts)}}
    queue = names.arn("sqs", names.dead_letters)
    return document(allow_service("sns", "sqs:SendMessage", queue, topic), tls_only("sqs:*", queue))


def labels_dead_letters(names: Names) -> str:
    """The policy of the dead-letter queue of labels and captures."""
    return document(tls_only("sqs:*", names.arn("sqs", names.labels_dead_letters)))


def alerts(names: Names) -> str:
    """The topic's policy: CloudWatch alarms of this account may publish. SNS refuses `sns:*` in a topic policy."""
    topic = names.arn("sns", names.alerts)
    return document(
        allow_service("cloudwatch", "sns:Publish", topic, of_account(names)), tls_only("sns:Publish", topic)
    )


def serving(names: Names, key_arn: str, images: Iterable[str]) -> str:
    """The model containers' role: read packages, write captures, logs and metrics, pull the images.

    SageMaker also uses it to read the alarms of a guarded deployment.
    """
    bucket = bucket_arn(names)
    return document(
        allow(["s3:GetObject"], [f"{bucket}/{PACKAGES}/*"]),
        allow(["s3:PutObject"], [f"{bucket}/{CAPTURE}/*"]),
        lists_bucket(names),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
        *pulls(names, images),
        allow(
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            [names.arn("logs", f"log-group:{names.containers_log}*")],
        ),
        allow(["cloudwatch:PutMetricData"], ["*"], in_namespaces("/aws/sagemaker/Endpoints", SAGEMAKER)),
        watched_alarms(names),
    )


def function_logs(names: Names) -> Statement:
    """Write to the functions' log."""
    return allow(["logs:CreateLogStream", "logs:PutLogEvents"], [names.arn("logs", f"log-group:{names.log}:*")])


def controller(names: Names, key_arn: str, audit_key_arn: str) -> list[Statement]:
    """The controller's role: journal, endpoint, verdicts, metrics, replays, probes, audit record, notifications.

    Both functions have all of it: after a rollback the next trial may need replays. Only this role may write the
    audit record and sign with its key.
    """
    return [
        *journal(names),
        allow(
            ["sagemaker:DescribeEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities"],
            [names.arn("sagemaker", f"endpoint/{names.endpoint}")],
        ),
        allow(
            ["sagemaker:UpdateEndpoint"],
            [
                names.arn("sagemaker", f"endpoint/{names.endpoint}"),
                names.arn("sagemaker", f"endpoint-config/{names.prefix}-*"),
            ],
        ),
        allow(
            ["sagemaker:DescribeModelPackage", "sagemaker:UpdateModelPackage"],
            [names.arn("sagemaker", f"model-package/{names.package_group}/*")],
        ),
        allow(["cloudwatch:GetMetricData"], ["*"]),  # has no resource
        watched_alarms(names),
        *_replay(names, key_arn),
        *_watch(names),
        *_audit(names, key_arn, audit_key_arn),
        *_lineage(names),
        *tells(names),
        allow(["sqs:SendMessage"], [names.arn("sqs", names.dead_letters)]),
    ]


def _replay(names: Names, key_arn: str) -> list[Statement]:
    return [
        allow(["s3:GetObject"], [f"{bucket_arn(names)}/{CAPTURE}/{names.endpoint}/*"]),
        lists_bucket(names),
        allow(["kms:Decrypt"], [key_arn]),
        allow(["sagemaker:InvokeEndpoint"], [names.arn("sagemaker", f"endpoint/{names.endpoint}")]),
    ]


def _watch(names: Names) -> list[Statement]:
    """Read a probe's request, and what runs the functions. The probe calls the endpoint and publishes as others do."""
    return [
        allow(["s3:GetObject"], members(names, SAMPLE)),
        allow(["lambda:GetFunctionConfiguration"], [names.arn("lambda", f"function:{names.prefix}-*")]),
        allow(["scheduler:GetSchedule"], [names.arn("scheduler", f"schedule/default/{names.prefix}-*")]),
        allow(["sns:ListSubscriptionsByTopic"], [names.arn("sns", names.alerts)]),
    ]


def _audit(names: Names, key_arn: str, audit_key_arn: str) -> list[Statement]:
    records = [f"{bucket_arn(names)}/{AUDIT}/*"]
    return [
        allow(["s3:GetObject", "s3:PutObject"], records),
        allow(["kms:GenerateDataKey"], [key_arn]),
        allow(["kms:Sign"], [audit_key_arn]),
    ]


def _lineage(names: Names) -> list[Statement]:
    actions, context = names.arn("sagemaker", f"action/{names.prefix}-*"), f"context/{names.endpoint}*"
    ends = [names.arn("sagemaker", "artifact/*"), actions, names.arn("sagemaker", context)]
    return [
        allow(["sagemaker:CreateAction", "sagemaker:UpdateAction"], [actions]),
        allow(["sagemaker:CreateContext"], [names.arn("sagemaker", f"context/{names.endpoint}")]),
        allow(["sagemaker:AddAssociation"], ends),  # SageMaker generates artifact names
        allow(["sagemaker:ListAssociations", "sagemaker:ListContexts"], ["*"]),  # have no resource
    ]


def drift(names: Names, key_arn: str) -> list[Statement]:
    """The drift function: read captures and references, store counts, publish metrics."""
    bucket = bucket_arn(names)
    return [
        allow(["s3:GetObject"], [f"{bucket}/{CAPTURE}/*", *members(names, REFERENCE)]),
        allow(["s3:PutObject"], [f"{bucket}/{CAPTURE_ASIDE}/*"]),
        lists_bucket(names),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
        allow(["dynamodb:GetItem"], [names.arn("dynamodb", f"table/{names.journal}")]),
        *_documents(names),
        allow(
            ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], [names.arn("sqs", names.captures)]
        ),
        allow(["cloudwatch:PutMetricData"], ["*"], in_namespaces(OWN)),
    ]


def labels(names: Names, key_arn: str) -> list[Statement]:
    """The labels function: read captures, labels, packages and the journal, store documents, publish metrics."""
    bucket = bucket_arn(names)
    return [
        allow(["s3:GetObject"], [f"{bucket}/{CAPTURE}/*", f"{bucket}/{LABELS}/*", *members(names, FORM, BASELINE)]),
        allow(["s3:PutObject"], [f"{bucket}/{LABELS_ASIDE}/*"]),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
        allow(["dynamodb:GetItem"], [names.arn("dynamodb", f"table/{names.journal}")]),
        *_documents(names),
        allow(["sagemaker:ListModelPackages"], ["*"]),  # has no resource
        allow(["sagemaker:DescribeModelPackage"], [names.arn("sagemaker", f"model-package/{names.package_group}/*")]),
        allow(["cloudwatch:PutMetricData"], ["*"], in_namespaces(OWN)),
        allow(["sqs:SendMessage"], [names.arn("sqs", names.labels_dead_letters)]),
    ]


def _documents(names: Names) -> list[Statement]:
    table = names.arn("dynamodb", f"table/{names.documents}")
    return [
        allow(["dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:PutItem"], [table]),
        allow(["dynamodb:Query"], [f"{table}/index/{INDEX}"]),
    ]
