"""Who may make a package on AWS: the jobs that train, executions of the pipeline, and the function that begins both."""

from __future__ import annotations

from collections.abc import Iterable

from infra.aws.statements import (
    Statement,
    allow,
    bucket_arn,
    in_namespaces,
    lists_bucket,
    pulls,
    tells,
    watched_alarms,
)
from pipeline.steps import VERDICT
from platforms.aws.names import PIPELINE, REFUSED, RETRAINING, SETTINGS, Names
from services.sealed_packages import PACKAGES

_TO_SAGEMAKER = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


def training(names: Names, key_arn: str, signing_key_arn: str, image: str) -> list[Statement]:
    """A training job: read the champion's package, put, sign and register another, report, log, and pull its image."""
    bucket = bucket_arn(names)
    log = names.arn("logs", "log-group:/aws/sagemaker/TrainingJobs*")
    return [
        allow(["s3:GetObject"], [f"{bucket}/{PACKAGES}/*"]),
        allow(["s3:PutObject"], [f"{bucket}/{PACKAGES}/*", f"{bucket}/{RETRAINING}/*"]),
        lists_bucket(names),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
        *_registers(names, signing_key_arn),
        allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], [log]),
        allow(["cloudwatch:PutMetricData"], ["*"], in_namespaces("/aws/sagemaker/TrainingJobs")),
        *pulls(names, [image]),
    ]


def building(names: Names, key_arn: str, image: str, groups: Iterable[str]) -> list[Statement]:
    """The jobs of the pipeline that run the model's code: read packages, put what they make, log, and pull their image.

    They may neither sign nor register anything, nor put what others read: code, settings, and what was registered.

    Args:
        names: The stack's names.
        key_arn: The key of the bucket.
        image: What the jobs run.
        groups: The steps of the definition that are processing jobs of this role.
    """
    bucket = bucket_arn(names)
    trained = f"{bucket}/{PIPELINE}/pipelines-*"  # a folder for each training job, called as the job
    return [
        allow(["s3:GetObject"], [f"{bucket}/{PACKAGES}/*", f"{bucket}/{PIPELINE}/*"]),
        allow(["s3:PutObject"], [trained, *_made_by(names, groups)]),
        *_job(names, key_arn, image),
    ]


def releasing(names: Names, key_arn: str, signing_key_arn: str, image: str, groups: Iterable[str]) -> list[Statement]:
    """The job of the pipeline that signs and registers, and runs nothing of the model; arguments as of `building`."""
    bucket = bucket_arn(names)
    return [
        allow(["s3:GetObject"], [f"{bucket}/{PACKAGES}/*", f"{bucket}/{PIPELINE}/*"]),
        allow(["s3:PutObject"], [f"{bucket}/{PACKAGES}/*", *_made_by(names, groups)]),
        *_registers(names, signing_key_arn),
        *_job(names, key_arn, image),
    ]


def _made_by(names: Names, groups: Iterable[str]) -> list[str]:
    """What processing jobs make in any execution, and what one says that refuses."""
    folder = f"{bucket_arn(names)}/{PIPELINE}"
    return [*(f"{folder}/*/{group}/*" for group in groups), f"{folder}/{REFUSED}/*"]


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
        lists_bucket(names),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
        allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], logs),
        allow(["cloudwatch:PutMetricData"], ["*"], in_namespaces(*(f"/aws/sagemaker/{kind}" for kind in kinds))),
        *pulls(names, [image]),
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
        allow(["s3:GetObject"], [f"{bucket_arn(names)}/{PIPELINE}/*/{VERDICT}"]),
        allow(["kms:Decrypt"], [key_arn]),
    ]


def retrain(names: Names, key_arn: str) -> list[Statement]:
    """The retrain function: journal and record, the champion's alarms, its own jobs and their reports, and telling."""
    jobs = names.arn("sagemaker", f"training-job/{names.prefix}-*")
    return [
        *_of_retraining(names),
        allow([f"sagemaker:{verb}TrainingJob" for verb in ("Create", "Describe", "Stop")], [jobs]),
        allow(["iam:PassRole"], [names.training_role_arn], _TO_SAGEMAKER),
        allow(["s3:GetObject"], [f"{bucket_arn(names)}/{RETRAINING}/*"]),
        allow(["kms:Decrypt"], [key_arn]),
    ]


def retrain_by_pipeline(names: Names, key_arn: str) -> list[Statement]:
    """The retrain function of a stack with a pipeline: the same, with executions in place of jobs."""
    ours, folder = names.arn("sagemaker", f"pipeline/{names.pipeline}"), f"{bucket_arn(names)}/{PIPELINE}"
    return [
        *_of_retraining(names),
        allow(["sagemaker:ListPipelineExecutions", "sagemaker:StartPipelineExecution"], [ours]),
        allow(
            [
                f"sagemaker:{one}"
                for one in ("DescribePipelineExecution", "ListPipelineExecutionSteps", "StopPipelineExecution")
            ],
            [f"{ours}/execution/*"],
        ),
        allow(["s3:GetObject"], [f"{folder}/*.json"]),  # what steps say; no archive
        allow(["s3:PutObject"], [f"{folder}/{SETTINGS}/*"]),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
    ]


def _of_retraining(names: Names) -> list[Statement]:
    """What the retrain function looks at and tells, whatever trains."""
    return [
        allow(["dynamodb:GetItem", "dynamodb:PutItem"], [names.arn("dynamodb", f"table/{names.journal}")]),
        allow(["dynamodb:BatchGetItem"], [names.arn("dynamodb", f"table/{names.documents}")]),
        watched_alarms(names),
        lists_bucket(names),
        *tells(names),
    ]
