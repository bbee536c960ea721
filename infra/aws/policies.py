"""Who may do what to which resource: of what serves, what watches over it, and what is kept. As data.

Who may train a version is in `infra.aws.training_policies`, who may use an MLflow in `infra.aws.mlflow_policies`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from infra.aws.statements import (
    PULL,
    Statement,
    allow,
    allow_service,
    bucket_arn,
    document,
    in_namespaces,
    lists_bucket,
    members,
    of_account,
    pulls,
    tells,
    tls_only,
    watched_alarms,
)
from platforms.aws.metrics import SAGEMAKER
from platforms.aws.names import AUDIT, CAPTURE, CAPTURE_ASIDE, INDEX, LABELS, LABELS_ASIDE, Names
from rollout.core.catalogue import OWN
from services.probe import SAMPLE
from services.sealed_packages import BASELINE, FORM, PACKAGES, REFERENCE


def accounts_trust(names: Names, accounts: Iterable[str]) -> str:
    """Who may assume a role: whom the administrators of other accounts let."""
    return document({"Effect": "Allow", "Principal": _accounts(names, accounts), "Action": ["sts:AssumeRole"]})


def accounts_pull(names: Names, accounts: Iterable[str]) -> str:
    """The repository's policy: other accounts may pull."""
    return document({"Effect": "Allow", "Principal": _accounts(names, accounts), "Action": list(PULL)})


def _accounts(names: Names, accounts: Iterable[str]) -> dict[str, list[str]]:
    return {"AWS": [names.arn("iam", "root", account=account, region="") for account in accounts]}


def promotion(names: Names, key_arn: str) -> str:
    """The role of a promotion: read which release serves, its package, and who registered it."""
    return document(
        allow(["dynamodb:GetItem"], [names.arn("dynamodb", f"table/{names.journal}")]),
        allow(["s3:GetObject"], [f"{bucket_arn(names)}/{PACKAGES}/*"]),
        allow(["kms:Decrypt"], [key_arn]),
        allow(["sagemaker:DescribeModelPackage"], [names.arn("sagemaker", f"model-package/{names.package_group}/*")]),
    )


def schedules_trust(names: Names) -> str:
    """Who may assume the role of schedules: EventBridge Scheduler, for schedules of this account."""
    return document(allow_service("scheduler", "sts:AssumeRole", condition=of_account(names)))


def schedules(names: Names, handlers: Iterable[str]) -> str:
    """The schedules' role: call the functions that run by a schedule, and no other."""
    return document(
        allow(["lambda:InvokeFunction"], [names.arn("lambda", f"function:{names.function(one)}") for one in handlers])
    )


def bucket(names: Names) -> str:
    """The bucket's policy: nobody reads or writes without TLS, and nobody deletes or overwrites the audit record.

    Only the controller's role writes it. A destroy of the stack deletes this policy before the bucket.
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
    """The key policy of the audit record's key: IAM decides, but nobody signs except the controller's role."""
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
    """The policy of the queue of captured files that could not be handled."""
    return document(tls_only("sqs:*", names.arn("sqs", names.captures_dead_letters)))


def captures(names: Names) -> str:
    """The policy of the queue of captured files: the rule may fill it."""
    queue, rule = names.arn("sqs", names.captures), names.arn("events", f"rule/{names.captures}")
    fills = allow_service("events", "sqs:SendMessage", queue, {"ArnEquals": {"aws:SourceArn": rule}})
    return document(fills, tls_only("sqs:*", queue))


def dead_letters(names: Names) -> str:
    """The dead-letter queue's policy: the topic may leave there what it could not deliver."""
    topic = {"ArnEquals": {"aws:SourceArn": names.arn("sns", names.alerts)}}
    queue = names.arn("sqs", names.dead_letters)
    return document(allow_service("sns", "sqs:SendMessage", queue, topic), tls_only("sqs:*", queue))


def labels_dead_letters(names: Names) -> str:
    """The policy of the queue of labels and captures that could not be taken in."""
    return document(tls_only("sqs:*", names.arn("sqs", names.labels_dead_letters)))


def alerts(names: Names) -> str:
    """The topic's policy: CloudWatch alarms of this account may publish. A topic's policy takes no `sns:*`."""
    topic = names.arn("sns", names.alerts)
    return document(
        allow_service("cloudwatch", "sns:Publish", topic, of_account(names)), tls_only("sns:Publish", topic)
    )


def serving(names: Names, key_arn: str, images: Iterable[str]) -> str:
    """The model containers' role: read packages, write captures, logs and metrics, pull the images.

    SageMaker reads the alarms of a guarded deployment in its name.
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
    """A function writes into the functions' log, and reads nothing there."""
    return allow(["logs:CreateLogStream", "logs:PutLogEvents"], [names.arn("logs", f"log-group:{names.log}:*")])


def controller(names: Names, key_arn: str, audit_key_arn: str) -> list[Statement]:
    """What drives a rollout: journal, the endpoint's weights and config, verdicts, observations, replays, and telling.

    Whatever calls it may do all of it: what follows a rollback may meet the next trial, and replay requests to it. No
    other role may put the audit record, or sign with its key.
    """
    return [
        allow(["dynamodb:GetItem", "dynamodb:PutItem"], [names.arn("dynamodb", f"table/{names.journal}")]),
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
        *_audit(names, key_arn, audit_key_arn),
        *_lineage(names),
        *tells(names),
        allow(["sqs:SendMessage"], [names.arn("sqs", names.dead_letters)]),
    ]


def _replay(names: Names, key_arn: str) -> list[Statement]:
    """What replays captured requests to a challenger: this endpoint's captures, and asking this endpoint."""
    return [
        allow(["s3:GetObject"], [f"{bucket_arn(names)}/{CAPTURE}/{names.endpoint}/*"]),
        lists_bucket(names),
        allow(["kms:Decrypt"], [key_arn]),
        allow(["sagemaker:InvokeEndpoint"], [names.arn("sagemaker", f"endpoint/{names.endpoint}")]),
    ]


def _audit(names: Names, key_arn: str, audit_key_arn: str) -> list[Statement]:
    """What puts the audit record away: sign a record, put it, and compare it with what is there."""
    records = [f"{bucket_arn(names)}/{AUDIT}/*"]
    return [
        allow(["s3:GetObject", "s3:PutObject"], records),
        allow(["kms:GenerateDataKey"], [key_arn]),
        allow(["kms:Sign"], [audit_key_arn]),
    ]


def _lineage(names: Names) -> list[Statement]:
    """What writes the lineage of a rollout: its action, the endpoint's context, and what both are associated with."""
    actions, context = names.arn("sagemaker", f"action/{names.prefix}-*"), f"context/{names.endpoint}*"
    ends = [names.arn("sagemaker", "artifact/*"), actions, names.arn("sagemaker", context)]
    return [
        allow(["sagemaker:CreateAction", "sagemaker:UpdateAction"], [actions]),
        allow(["sagemaker:CreateContext"], [names.arn("sagemaker", f"context/{names.endpoint}")]),
        allow(["sagemaker:AddAssociation"], ends),  # an artifact's name is of SageMaker's making
        allow(["sagemaker:ListAssociations", "sagemaker:ListContexts"], ["*"]),  # have no resource
    ]


def drift(names: Names, key_arn: str) -> list[Statement]:
    """The drift job: hear of captures, read them and references, keep what it counted, and put its metrics."""
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


def probe(names: Names, key_arn: str) -> list[Statement]:
    """The probe: find the champion, read the request in its package, ask the endpoint, and count the answer."""
    return [
        allow(["dynamodb:GetItem"], [names.arn("dynamodb", f"table/{names.journal}")]),
        allow(["s3:GetObject"], members(names, SAMPLE)),
        allow(["kms:Decrypt"], [key_arn]),
        allow(["sagemaker:InvokeEndpoint"], [names.arn("sagemaker", f"endpoint/{names.endpoint}")]),
        allow(["cloudwatch:PutMetricData"], ["*"], in_namespaces(OWN)),
    ]


def labels(names: Names, key_arn: str) -> list[Statement]:
    """The labels job: read captures, labels, packages and the journal, store documents, and put metrics."""
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
    """What reads and writes documents, and their queues."""
    table = names.arn("dynamodb", f"table/{names.documents}")
    return [
        allow(["dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:PutItem"], [table]),
        allow(["dynamodb:Query"], [f"{table}/index/{INDEX}"]),
    ]
