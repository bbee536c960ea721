"""Permissions for MLflow on AWS."""

from __future__ import annotations

from infra.aws.statements import (
    Statement,
    allow,
    allow_service,
    bucket_arn,
    document,
    lists_bucket,
    members,
    of_account,
)
from platforms.aws.names import MLFLOW, Names

_ACTIONS = (
    *("CreateExperiment", "CreateModelVersion", "CreateRegisteredModel", "CreateRun", "DeleteRegisteredModelAlias"),
    *("GetExperimentByName", "GetRegisteredModel", "GetRun", "LogBatch", "SearchModelVersions", "SearchRuns"),
    *("SetModelVersionTag", "SetRegisteredModelAlias", "UpdateRun"),
)
"""Calls of MLflow's API, as IAM actions of a tracking server."""


def mirror(names: Names, server: str, secret: str) -> list[Statement]:
    """Log rollouts to a server (URL or ARN): read manifests, and read a secret or call a managed MLflow."""
    reads = allow(["s3:GetObject"], members(names))
    if not server.startswith("arn:"):
        # Secrets Manager appends a hyphen and six random characters to a name.
        held = names.arn("secretsmanager", f"secret:{secret}-??????")
        return [reads, *([allow(["secretsmanager:GetSecretValue"], [held])] if secret else [])]
    if ":mlflow-app/" in server:  # IAM does not distinguish an app's operations
        return [reads, allow(["sagemaker:CallMlflowAppApi"], [server])]
    return [reads, allow([f"sagemaker-mlflow:{action}" for action in _ACTIONS], [server])]


def managed_trust(names: Names) -> str:
    """Trust of the MLflow's role: SageMaker, for this account."""
    return document(allow_service("sagemaker", "sts:AssumeRole", condition=of_account(names)))


def managed(names: Names, key_arn: str) -> str:
    """The MLflow's role: store artifacts in its folder."""
    return document(
        allow(["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], [f"{bucket_arn(names)}/{MLFLOW}/*"]),
        lists_bucket(names),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
    )
