"""Who may use an MLflow on AWS: what tells it of rollouts, and, of one that SageMaker runs, it itself."""

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
"""What the mirror calls of MLflow's API, as IAM has it of a tracking server."""


def mirror(names: Names, server: str, secret: str) -> list[Statement]:
    """What tells an MLflow how rollouts stand: read manifests, and a secret; or call one that SageMaker runs.

    Args:
        names: The stack's names.
        server: A URL, or the ARN of a managed one.
        secret: The name of the secret; empty without.
    """
    reads = allow(["s3:GetObject"], members(names))
    if not server.startswith("arn:"):
        # Secrets Manager puts a hyphen and six characters of its own behind a name.
        held = names.arn("secretsmanager", f"secret:{secret}-??????")
        return [reads, *([allow(["secretsmanager:GetSecretValue"], [held])] if secret else [])]
    if ":mlflow-app/" in server:  # AWS tells the operations of an app not apart
        return [reads, allow(["sagemaker:CallMlflowAppApi"], [server])]
    return [reads, allow([f"sagemaker-mlflow:{action}" for action in _ACTIONS], [server])]


def managed_trust(names: Names) -> str:
    """Who may assume the role of the stack's MLflow: SageMaker, for this account."""
    return document(allow_service("sagemaker", "sts:AssumeRole", condition=of_account(names)))


def managed(names: Names, key_arn: str) -> str:
    """The role of the stack's MLflow: keep artifacts in a folder of their own."""
    return document(
        allow(["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], [f"{bucket_arn(names)}/{MLFLOW}/*"]),
        lists_bucket(names),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
    )
