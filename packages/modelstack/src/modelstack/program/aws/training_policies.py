"""IAM permissions of training: jobs, executions of the pipeline, and the retrain function."""

from __future__ import annotations

from collections.abc import Iterable

from modelstack.pipeline.steps import VERDICT
from modelstack.platforms.aws.names import PIPELINE, REFUSED, RETRAINING, SETTINGS, Names
from modelstack.program.aws.statements import (
    Statement,
    allow,
    bucket_arn,
    in_namespaces,
    journal,
    lists_bucket,
    pulls,
    tells,
    watched_alarms,
)
from modelstack.services.sealed_packages import PACKAGES

_TO_SAGEMAKER = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


def training(names: Names, key_arn: str, signing_key_arn: str, image: str) -> list[Statement]:
    """A training job: read the champion's package; store, sign and register another; report, log, pull its image."""
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
    """Pipeline jobs (steps `groups`) that run the model's code: read packages, store outputs, log, pull their image.

    They may not sign or register, nor write what others read: code, settings, registrations.
    """
    bucket = bucket_arn(names)
    trained = f"{bucket}/{PIPELINE}/pipelines-*"  # one folder per training job, with its name
    return [
        allow(["s3:GetObject"], [f"{bucket}/{PACKAGES}/*", f"{bucket}/{PIPELINE}/*"]),
        allow(["s3:PutObject"], [trained, *_made_by(names, groups)]),
        *_job(names, key_arn, image),
    ]


def releasing(names: Names, key_arn: str, signing_key_arn: str, image: str, groups: Iterable[str]) -> list[Statement]:
    """The pipeline job that signs and registers, and runs none of the model's code."""
    bucket = bucket_arn(names)
    return [
        allow(["s3:GetObject"], [f"{bucket}/{PACKAGES}/*", f"{bucket}/{PIPELINE}/*"]),
        allow(["s3:PutObject"], [f"{bucket}/{PACKAGES}/*", *_made_by(names, groups)]),
        *_registers(names, signing_key_arn),
        *_job(names, key_arn, image),
    ]


def _made_by(names: Names, groups: Iterable[str]) -> list[str]:
    folder = f"{bucket_arn(names)}/{PIPELINE}"
    return [*(f"{folder}/*/{group}/*" for group in groups), f"{folder}/{REFUSED}/*"]


def _registers(names: Names, signing_key_arn: str) -> list[Statement]:
    group = names.arn("sagemaker", f"model-package-group/{names.package_group}")
    packages = names.arn("sagemaker", f"model-package/{names.package_group}/*")
    return [
        allow(["kms:GetPublicKey", "kms:Sign"], [signing_key_arn]),
        allow(["sagemaker:CreateModelPackage"], [group, packages]),
        allow(["sagemaker:DescribeModelPackage"], [packages]),
        allow(["sagemaker:ListModelPackages"], ["*"]),  # has no resource
    ]


def _job(names: Names, key_arn: str, image: str) -> list[Statement]:
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
    """The pipeline's role: run its own jobs with two roles, and read the verdict for a condition.

    SageMaker prefixes job names with `pipelines-`, and tags each job with its execution.
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
    """The retrain function: journal and record, the champion's alarms, its jobs and their reports, notifications."""
    jobs = names.arn("sagemaker", f"training-job/{names.prefix}-*")
    return [
        *_of_retraining(names),
        allow([f"sagemaker:{verb}TrainingJob" for verb in ("Create", "Describe", "Stop")], [jobs]),
        allow(["iam:PassRole"], [names.training_role_arn], _TO_SAGEMAKER),
        allow(["s3:GetObject"], [f"{bucket_arn(names)}/{RETRAINING}/*"]),
        allow(["kms:Decrypt"], [key_arn]),
    ]


def retrain_by_pipeline(names: Names, key_arn: str) -> list[Statement]:
    """The retrain function of a stack with a pipeline: executions in place of jobs."""
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
        allow(["s3:GetObject"], [f"{folder}/*.json"]),  # step reports; no archive
        allow(["s3:PutObject"], [f"{folder}/{SETTINGS}/*"]),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
    ]


def _of_retraining(names: Names) -> list[Statement]:
    return [
        *journal(names),
        watched_alarms(names),
        lists_bucket(names),
        *tells(names),
    ]
