"""The MLflow that a stack on AWS logs to: an external one, or one that SageMaker runs for it."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from modelstack.platforms.aws.names import MLFLOW, Names
from modelstack.program.aws.registry import Registry
from modelstack.program.aws.statements import (
    Statement,
    allow,
    allow_service,
    bucket_arn,
    document,
    lists_bucket,
    members,
    of_account,
)
from modelstack.program.config.mlflow_settings import MlflowSettings
from modelstack.program.options import Opts
from modelstack.records.tracking.variables import EXPERIMENT, SECRET, SERVER

_ACTIONS = (
    *("CreateExperiment", "CreateModelVersion", "CreateRegisteredModel", "CreateRun", "DeleteRegisteredModelAlias"),
    *("GetExperimentByName", "GetRegisteredModel", "GetRun", "LogBatch", "SearchModelVersions", "SearchRuns"),
    *("SetModelVersionTag", "SetRegisteredModelAlias", "UpdateRun"),
)
"""Calls of MLflow's API, as IAM actions of a tracking server."""


@dataclass(frozen=True)
class ToldMlflow:
    """The MLflow to log to; `secret` names the secret that the advance function signs in with, if any."""

    server: pulumi.Input[str]
    experiment: str
    secret: str = ""

    def environment(self) -> dict[str, pulumi.Input[str]]:
        """Variables of the advance function."""
        return {SERVER: self.server, EXPERIMENT: self.experiment, **({SECRET: self.secret} if self.secret else {})}

    def statements(self, names: Names, server: str) -> list[Statement]:
        """Permissions of the advance function."""
        return mirror(names, server, self.secret)


def told_mlflow(settings: MlflowSettings, names: Names, registry: Registry, opts: Opts = None) -> ToldMlflow | None:
    """The configured MLflow, if any; a managed one is declared."""
    experiment = settings.experiment_of(names.endpoint)
    if settings.managed is not None:
        return ToldMlflow(ManagedMlflow("mlflow-server", names, registry, settings.managed, opts).arn, experiment)
    return ToldMlflow(settings.server, experiment, settings.secret or "") if settings.server else None


class ManagedMlflow(pulumi.ComponentResource):
    """The stack's own MLflow, run by SageMaker.

    Creates:
        An app or a tracking server (`kind`); a role that stores artifacts in a folder of the registry's bucket.

    Automatic model registration is off, because the stack registers its own models.
    """

    def __init__(self, name: str, names: Names, registry: Registry, kind: str, opts: Opts = None) -> None:
        super().__init__("modelstack:index:ManagedMlflow", name, None, opts)
        role, allowed = self._role(names, registry)
        store = registry.bucket.bucket.apply(lambda bucket: f"s3://{bucket}/{MLFLOW}")
        after = pulumi.ResourceOptions(parent=self, depends_on=[allowed])
        if kind == "app":
            made: aws.sagemaker.MlflowApp | aws.sagemaker.MlflowTrackingServer = aws.sagemaker.MlflowApp(
                "mlflow",
                name=names.mlflow,
                artifact_store_uri=store,
                role_arn=role.arn,
                model_registration_mode="AutoModelRegistrationDisabled",
                opts=after,
            )
        else:
            made = aws.sagemaker.MlflowTrackingServer(
                "mlflow",
                tracking_server_name=names.mlflow,
                artifact_store_uri=store,
                role_arn=role.arn,
                automatic_model_registration=False,
                opts=after,
            )
        self.arn = made.arn
        self.register_outputs({"arn": self.arn})

    def _role(self, names: Names, registry: Registry) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        child, trusted = pulumi.ResourceOptions(parent=self), managed_trust(names)
        role = aws.iam.Role("mlflow", name=names.mlflow, assume_role_policy=trusted, opts=child)
        allowed = aws.iam.RolePolicy(
            "mlflow",
            name=names.mlflow,
            role=role.name,
            policy=registry.key.arn.apply(lambda key: managed(names, key)),
            opts=child,
        )
        return role, allowed


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
