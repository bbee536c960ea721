"""IAM and resource policies, as data: who may do what to which resource.

Every ARN is known from the names, so a policy can be read, and tested, without a cloud. `*` stands only where AWS has
no narrower resource, and a condition narrows it where AWS has one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from monitoring.objectives.probe import SAMPLE
from platforms.aws.metrics import SAGEMAKER
from platforms.aws.names import (
    AUDIT,
    CAPTURE,
    CAPTURE_ASIDE,
    INDEX,
    LABELS,
    LABELS_ASIDE,
    MLFLOW,
    PIPELINE,
    RETRAINING,
    SETTINGS,
    Names,
)
from platforms.aws.packages import BASELINE, FORM, MANIFEST, PACKAGES, REFERENCE
from rollout.core.catalogue import OWN

_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
_MIRROR_ACTIONS = (
    *("CreateExperiment", "CreateModelVersion", "CreateRegisteredModel", "CreateRun", "DeleteRegisteredModelAlias"),
    *("GetExperimentByName", "GetRegisteredModel", "GetRun", "LogBatch", "SearchModelVersions", "SearchRuns"),
    *("SetModelVersionTag", "SetRegisteredModelAlias", "UpdateRun"),
)
_LEDGER_ACTIONS = ("BatchGetItem", "DeleteItem", "GetItem", "PutItem", "UpdateItem")
_ECR = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.[a-z.]+/([^:@]+)")
_TO_SAGEMAKER = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
Statement = dict[str, Any]


def allow(actions: list[str], resources: list[str], condition: dict[str, Any] | None = None) -> Statement:
    """One statement that allows actions on resources."""
    statement: Statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": condition} if condition else statement


def document(*statements: Statement) -> str:
    """A policy of statements, as canonical JSON."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, sort_keys=True)


def _by(service: str, action: str, resource: str = "", condition: dict[str, Any] | None = None) -> Statement:
    """One statement that allows one AWS service, such as `lambda`, an action."""
    statement: Statement = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": [action]}
    if resource:
        statement["Resource"] = [resource]
    return {**statement, "Condition": condition} if condition else statement


def _tls_only(action: str, *resources: str) -> Statement:
    """Nobody uses a resource without TLS."""
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": list(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _of_account(names: Names) -> dict[str, Any]:
    return {"StringEquals": {"aws:SourceAccount": names.account}}


def trust(service: str) -> str:
    """Who may assume a role: one AWS service."""
    return document(_by(service, "sts:AssumeRole"))


def accounts_trust(names: Names, accounts: Iterable[str]) -> str:
    """Who may assume a role: whom the administrators of other accounts let."""
    return document({"Effect": "Allow", "Principal": _accounts(names, accounts), "Action": ["sts:AssumeRole"]})


def accounts_pull(names: Names, accounts: Iterable[str]) -> str:
    """The repository's policy: other accounts may pull."""
    return document({"Effect": "Allow", "Principal": _accounts(names, accounts), "Action": list(_PULL)})


def _accounts(names: Names, accounts: Iterable[str]) -> dict[str, list[str]]:
    return {"AWS": [names.arn("iam", "root", account=account, region="") for account in accounts]}


def promotion(names: Names, key_arn: str) -> str:
    """The role of a promotion: read which release serves, its package, and who registered it."""
    return document(
        allow(["dynamodb:GetItem"], [names.arn("dynamodb", f"table/{names.journal}")]),
        allow(["s3:GetObject"], [f"{_bucket(names)}/{PACKAGES}/*"]),
        allow(["kms:Decrypt"], [key_arn]),
        allow(["sagemaker:DescribeModelPackage"], [names.arn("sagemaker", f"model-package/{names.package_group}/*")]),
    )


def schedules_trust(names: Names) -> str:
    """Who may assume the role of schedules: EventBridge Scheduler, for schedules of this account."""
    return document(_by("scheduler", "sts:AssumeRole", condition=_of_account(names)))


def schedules(names: Names, handlers: Iterable[str]) -> str:
    """The schedules' role: call the functions that run by a schedule, and no other."""
    return document(
        allow(["lambda:InvokeFunction"], [names.arn("lambda", f"function:{names.function(one)}") for one in handlers])
    )


def bucket(names: Names) -> str:
    """The bucket's policy: nobody reads or writes without TLS, and nobody deletes or overwrites the audit record.

    Only the controller's role writes it. A destroy of the stack deletes this policy before the bucket.
    """
    denied = {"Effect": "Deny", "Principal": "*", "Resource": [f"{_bucket(names)}/{AUDIT}/*"]}
    return document(
        _tls_only("s3:*", _bucket(names), f"{_bucket(names)}/*"),
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
    return document(_tls_only("sqs:*", names.arn("sqs", names.captures_dead_letters)))


def captures(names: Names) -> str:
    """The policy of the queue of captured files: the rule may fill it."""
    queue, rule = names.arn("sqs", names.captures), names.arn("events", f"rule/{names.captures}")
    fills = _by("events", "sqs:SendMessage", queue, {"ArnEquals": {"aws:SourceArn": rule}})
    return document(fills, _tls_only("sqs:*", queue))


def dead_letters(names: Names) -> str:
    """The dead-letter queue's policy: the topic may leave there what it could not deliver."""
    topic = {"ArnEquals": {"aws:SourceArn": names.arn("sns", names.alerts)}}
    queue = names.arn("sqs", names.dead_letters)
    return document(_by("sns", "sqs:SendMessage", queue, topic), _tls_only("sqs:*", queue))


def labels_dead_letters(names: Names) -> str:
    """The policy of the queue of labels and captures that could not be taken in."""
    return document(_tls_only("sqs:*", names.arn("sqs", names.labels_dead_letters)))


def alerts(names: Names) -> str:
    """The topic's policy: CloudWatch alarms of this account may publish. A topic's policy takes no `sns:*`."""
    topic = names.arn("sns", names.alerts)
    return document(_by("cloudwatch", "sns:Publish", topic, _of_account(names)), _tls_only("sns:Publish", topic))


def serving(names: Names, key_arn: str, images: Iterable[str]) -> str:
    """The model containers' role: read packages, write captures, logs and metrics, pull the images.

    SageMaker reads the alarms of a guarded deployment in its name.
    """
    bucket = _bucket(names)
    return document(
        allow(["s3:GetObject"], [f"{bucket}/{PACKAGES}/*"]),
        allow(["s3:PutObject"], [f"{bucket}/{CAPTURE}/*"]),
        _list(names),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
        *_pull(names, images),
        allow(
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            [names.arn("logs", f"log-group:{names.containers_log}*")],
        ),
        allow(["cloudwatch:PutMetricData"], ["*"], _namespaces("/aws/sagemaker/Endpoints", SAGEMAKER)),
        _watched_alarms(names),
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
        _watched_alarms(names),
        *_replay(names, key_arn),
        *_audit(names, key_arn, audit_key_arn),
        *_lineage(names),
        *_tell(names),
        allow(["sqs:SendMessage"], [names.arn("sqs", names.dead_letters)]),
    ]


def _replay(names: Names, key_arn: str) -> list[Statement]:
    """What replays captured requests to a challenger: this endpoint's captures, and asking this endpoint."""
    return [
        allow(["s3:GetObject"], [f"{_bucket(names)}/{CAPTURE}/{names.endpoint}/*"]),
        _list(names),
        allow(["kms:Decrypt"], [key_arn]),
        allow(["sagemaker:InvokeEndpoint"], [names.arn("sagemaker", f"endpoint/{names.endpoint}")]),
    ]


def _audit(names: Names, key_arn: str, audit_key_arn: str) -> list[Statement]:
    """What puts the audit record away: sign a record, put it, and compare it with what is there."""
    records = [f"{_bucket(names)}/{AUDIT}/*"]
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


def mirror(names: Names, server: str, secret: str) -> list[Statement]:
    """What tells an MLflow how rollouts stand: read manifests, and a secret; or call one that SageMaker runs.

    Args:
        names: The stack's names.
        server: A URL, or the ARN of a managed one.
        secret: The name of the secret; empty without.
    """
    reads = allow(["s3:GetObject"], _members(names))
    if not server.startswith("arn:"):
        # Secrets Manager puts a hyphen and six characters of its own behind a name.
        held = names.arn("secretsmanager", f"secret:{secret}-??????")
        return [reads, *([allow(["secretsmanager:GetSecretValue"], [held])] if secret else [])]
    if ":mlflow-app/" in server:  # AWS tells the operations of an app not apart
        return [reads, allow(["sagemaker:CallMlflowAppApi"], [server])]
    return [reads, allow([f"sagemaker-mlflow:{action}" for action in _MIRROR_ACTIONS], [server])]


def managed_mlflow_trust(names: Names) -> str:
    """Who may assume the role of the stack's MLflow: SageMaker, for this account."""
    return document(_by("sagemaker", "sts:AssumeRole", condition=_of_account(names)))


def managed_mlflow(names: Names, key_arn: str) -> str:
    """The role of the stack's MLflow: keep artifacts in a folder of their own."""
    return document(
        allow(["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], [f"{_bucket(names)}/{MLFLOW}/*"]),
        _list(names),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
    )


def drift(names: Names, key_arn: str) -> list[Statement]:
    """The drift job: hear of captures, read them and references, keep what it counted, and put its metrics."""
    bucket, table = _bucket(names), names.arn("dynamodb", f"table/{names.journal}")
    actions = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
    return [
        allow(["s3:GetObject"], [f"{bucket}/{CAPTURE}/*", *_members(names, REFERENCE)]),
        allow(["s3:PutObject"], [f"{bucket}/{CAPTURE_ASIDE}/*"]),
        _list(names),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
        allow(actions, [table]),
        allow(
            ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], [names.arn("sqs", names.captures)]
        ),
        allow(["cloudwatch:PutMetricData"], ["*"], _namespaces(OWN)),
    ]


def probe(names: Names, key_arn: str) -> list[Statement]:
    """The probe: find the champion, read the request in its package, ask the endpoint, and count the answer."""
    return [
        allow(["dynamodb:GetItem"], [names.arn("dynamodb", f"table/{names.journal}")]),
        allow(["s3:GetObject"], _members(names, SAMPLE)),
        allow(["kms:Decrypt"], [key_arn]),
        allow(["sagemaker:InvokeEndpoint"], [names.arn("sagemaker", f"endpoint/{names.endpoint}")]),
        allow(["cloudwatch:PutMetricData"], ["*"], _namespaces(OWN)),
    ]


def labels(names: Names, key_arn: str) -> list[Statement]:
    """The labels job: read captures, labels, packages and the journal, keep the ledger, and put metrics."""
    bucket, ledger = _bucket(names), names.arn("dynamodb", f"table/{names.labels}")
    return [
        allow(["s3:GetObject"], [f"{bucket}/{CAPTURE}/*", f"{bucket}/{LABELS}/*", *_members(names, FORM, BASELINE)]),
        allow(["s3:PutObject"], [f"{bucket}/{LABELS_ASIDE}/*"]),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
        allow(["dynamodb:GetItem"], [names.arn("dynamodb", f"table/{names.journal}")]),
        allow([f"dynamodb:{action}" for action in _LEDGER_ACTIONS], [ledger]),
        allow(["dynamodb:Query"], [f"{ledger}/index/{INDEX}"]),
        allow(["sagemaker:ListModelPackages"], ["*"]),  # has no resource
        allow(["sagemaker:DescribeModelPackage"], [names.arn("sagemaker", f"model-package/{names.package_group}/*")]),
        allow(["cloudwatch:PutMetricData"], ["*"], _namespaces(OWN)),
        allow(["sqs:SendMessage"], [names.arn("sqs", names.labels_dead_letters)]),
    ]


def training(names: Names, key_arn: str, signing_key_arn: str, image: str) -> list[Statement]:
    """A training job: read the champion's package, put, sign and register another, report, log, and pull its image."""
    bucket = _bucket(names)
    log = names.arn("logs", "log-group:/aws/sagemaker/TrainingJobs*")
    return [
        allow(["s3:GetObject"], [f"{bucket}/{PACKAGES}/*"]),
        allow(["s3:PutObject"], [f"{bucket}/{PACKAGES}/*", f"{bucket}/{RETRAINING}/*"]),
        _list(names),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
        *_registers(names, signing_key_arn),
        allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], [log]),
        allow(["cloudwatch:PutMetricData"], ["*"], _namespaces("/aws/sagemaker/TrainingJobs")),
        *_pull(names, [image]),
    ]


def building(names: Names, key_arn: str, image: str) -> list[Statement]:
    """The jobs of the pipeline that run the model's code: read packages, put what they make, log, and pull their image.

    They may neither sign nor register anything.
    """
    bucket = _bucket(names)
    return [
        allow(["s3:GetObject"], [f"{bucket}/{PACKAGES}/*", f"{bucket}/{PIPELINE}/*"]),
        allow(["s3:PutObject"], [f"{bucket}/{PIPELINE}/*"]),
        *_job(names, key_arn, image),
    ]


def releasing(names: Names, key_arn: str, signing_key_arn: str, image: str) -> list[Statement]:
    """The job of the pipeline that signs and registers, and runs nothing of the model."""
    bucket = _bucket(names)
    return [
        allow(["s3:GetObject", "s3:PutObject"], [f"{bucket}/{PACKAGES}/*", f"{bucket}/{PIPELINE}/*"]),
        *_registers(names, signing_key_arn),
        *_job(names, key_arn, image),
    ]


def _registers(names: Names, signing_key_arn: str) -> list[Statement]:
    """Sign packages, and register them for approval."""
    group = names.arn("sagemaker", f"model-package-group/{names.package_group}")
    packages = names.arn("sagemaker", f"model-package/{names.package_group}/*")
    return [
        allow(["kms:GetPublicKey", "kms:Sign"], [signing_key_arn]),
        allow(["sagemaker:CreateModelPackage"], [group, packages]),
        allow(["sagemaker:DescribeModelPackage"], [packages]),
        allow(["sagemaker:ListModelPackages"], ["*"]),  # has no resource
    ]


def _job(names: Names, key_arn: str, image: str) -> list[Statement]:
    """What every job of the pipeline needs of the bucket and its key, the logs and the registry of images."""
    kinds = ("TrainingJobs", "ProcessingJobs")
    logs = [names.arn("logs", f"log-group:/aws/sagemaker/{kind}*") for kind in kinds]
    return [
        _list(names),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
        allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], logs),
        allow(["cloudwatch:PutMetricData"], ["*"], _namespaces(*(f"/aws/sagemaker/{kind}" for kind in kinds))),
        *_pull(names, [image]),
    ]


def pipeline(names: Names, key_arn: str) -> list[Statement]:
    """Executions of the pipeline: their own jobs, in the names of two roles, and the verdict that a condition reads.

    SageMaker names the jobs, `pipelines-` first, and tags each with its execution.
    """
    jobs = {kind: names.arn("sagemaker", f"{kind.lower()}-job/pipelines-*") for kind in ("Training", "Processing")}
    roles = [names.role_arn(role) for role in (names.building_role, names.releasing_role)]
    return [
        *(
            allow(
                [*(f"sagemaker:{verb}{kind}Job" for verb in ("Create", "Describe", "Stop")), "sagemaker:AddTags"], [job]
            )
            for kind, job in jobs.items()
        ),
        allow(["iam:PassRole"], roles, _TO_SAGEMAKER),
        allow(["s3:GetObject"], [f"{_bucket(names)}/{PIPELINE}/*"]),
        allow(["kms:Decrypt"], [key_arn]),
    ]


def retrain(names: Names, key_arn: str) -> list[Statement]:
    """The retrain function: journal and record, the champion's alarms, its own jobs and their reports, and telling."""
    jobs = names.arn("sagemaker", f"training-job/{names.prefix}-*")
    return [
        *_of_retraining(names),
        allow([f"sagemaker:{verb}TrainingJob" for verb in ("Create", "Describe", "Stop")], [jobs]),
        allow(["iam:PassRole"], [names.training_role_arn], _TO_SAGEMAKER),
        allow(["s3:GetObject"], [f"{_bucket(names)}/{RETRAINING}/*"]),
        allow(["kms:Decrypt"], [key_arn]),
    ]


def retrain_by_pipeline(names: Names, key_arn: str) -> list[Statement]:
    """The retrain function of a stack with a pipeline: the same, with executions in place of jobs."""
    pipeline, folder = names.arn("sagemaker", f"pipeline/{names.pipeline}"), f"{_bucket(names)}/{PIPELINE}"
    return [
        *_of_retraining(names),
        allow(["sagemaker:ListPipelineExecutions", "sagemaker:StartPipelineExecution"], [pipeline]),
        allow(
            [
                f"sagemaker:{one}"
                for one in ("DescribePipelineExecution", "ListPipelineExecutionSteps", "StopPipelineExecution")
            ],
            [f"{pipeline}/execution/*"],
        ),
        allow(["s3:GetObject"], [f"{folder}/*"]),
        allow(["s3:PutObject"], [f"{folder}/{SETTINGS}/*"]),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
    ]


def _of_retraining(names: Names) -> list[Statement]:
    """What the retrain function looks at and tells, whatever trains."""
    return [
        allow(["dynamodb:GetItem", "dynamodb:PutItem"], [names.arn("dynamodb", f"table/{names.journal}")]),
        _watched_alarms(names),
        _list(names),
        *_tell(names),
    ]


def _members(names: Names, *members: str) -> list[str]:
    """The named members of packages, and the manifest that proves them; no archive."""
    return [f"{_bucket(names)}/{PACKAGES}/*/{name}" for name in (MANIFEST, *members)]


def _pull(names: Names, images: Iterable[str]) -> list[Statement]:
    """Pull images: the stack's own, and those that a promoted release keeps of where it came from."""
    repositories = {names.arn("ecr", f"repository/{names.repository}")}
    for found in filter(None, map(_ECR.match, images)):
        owner, region, name = found.group(1, 2, 3)
        repositories.add(names.arn("ecr", f"repository/{name}", account=owner, region=region))
    return [
        allow(list(_PULL), sorted(repositories)),
        allow(["ecr:GetAuthorizationToken"], ["*"]),  # has no resource
    ]


def _tell(names: Names) -> list[Statement]:
    """Tell people what happened, and count it for the dashboard."""
    return [
        allow(["sns:Publish"], [names.arn("sns", names.alerts)]),
        allow(["cloudwatch:PutMetricData"], ["*"], _namespaces(OWN)),
    ]


def _watched_alarms(names: Names) -> Statement:
    """Which alarms ring; and only who may read alarms may name them in a guarded deployment."""
    return allow(["cloudwatch:DescribeAlarms"], [names.arn("cloudwatch", f"alarm:{names.prefix}-*")])


def _namespaces(*names: str) -> dict[str, Any]:
    return {"StringEquals": {"cloudwatch:namespace": list(names)}}


def _list(names: Names) -> Statement:
    """List the bucket; under whichever prefix, since S3 tells a file that is not there (404) from one that may not be
    read (403) only to who may list without a condition.
    """
    return allow(["s3:ListBucket"], [_bucket(names)])


def _bucket(names: Names) -> str:
    return names.arn("s3", names.bucket, account="", region="")
