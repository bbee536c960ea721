"""Retraining of the model when the champion degrades."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws

from modelstack.monitoring.retraining.rules import JobSettings, written
from modelstack.platforms.aws.names import Names
from modelstack.program.aws import training_policies
from modelstack.program.aws.executions import begun_with, image_of
from modelstack.program.aws.function import Function
from modelstack.program.aws.site import Site
from modelstack.program.aws.statements import document, trust
from modelstack.program.config.settings import Settings
from modelstack.program.options import Opts
from modelstack.services.declaration.alarm_names import RETRAIN

SECONDS = 60


class Retraining(pulumi.ComponentResource):
    """Retraining of the model when the champion degrades.

    Creates:
        A role for training jobs, unless the stack has a pipeline; the retrain function, called when one of its alarms
        changes, when a job or an execution ends, and on a schedule.

    Jobs and their packages are no resources. The record of retrainings is in the journal's table.
    """

    def __init__(self, name: str, site: Site, *, settings: Settings, opts: Opts = None) -> None:
        super().__init__("modelstack:index:Retraining", name, None, opts)
        self._names, own = site.names, settings.retraining
        image, remote = image_of(site.names, settings), settings.pipeline.remote
        allowed = [] if remote else [self._role(site, image)]
        self.function = Function(
            "retrain",
            site,
            does="Train a new version when the champion has gone wrong, and keep it as a candidate if it is better.",
            may=site.allowed(training_policies.retrain_by_pipeline if remote else training_policies.retrain),
            timeout=SECONDS,
            environment={
                "RETRAINING": site.registry.signing_key.arn.apply(
                    lambda signing_key: written(own.rules(), _job(site.names, settings, image, signing_key))
                )
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=allowed),
        )
        self.function.runs_every(own.check_minutes)
        self._hears(remote)
        self.register_outputs({"function": self.function.function.name})

    def _role(self, site: Site, image: str) -> aws.iam.RolePolicy:
        child, names = pulumi.ResourceOptions(parent=self), site.names
        role = aws.iam.Role("training", name=names.training_role, assume_role_policy=trust("sagemaker"), opts=child)
        return aws.iam.RolePolicy(
            "training",
            name=names.training_role,
            role=role.name,
            policy=pulumi.Output.all(site.registry.key.arn, site.registry.signing_key.arn).apply(
                lambda keys: document(*training_policies.training(names, keys[0], keys[1], image))
            ),
            opts=child,
        )

    def _hears(self, remote: bool) -> None:
        prefix = self._names.prefix
        self.function.hears(
            "alarms",
            "An alarm that asks for a retraining has changed",
            {
                "source": ["aws.cloudwatch"],
                "detail-type": ["CloudWatch Alarm State Change"],
                "resources": [{"prefix": self._names.arn("cloudwatch", f"alarm:{prefix}-v-")}],
                "detail": {"alarmName": [{"suffix": f"-{measure}"} for measure in RETRAIN]},
            },
        )
        if remote:
            self.function.hears(
                "executions",
                "An execution of the pipeline has ended",
                {
                    "source": ["aws.sagemaker"],
                    "detail-type": ["SageMaker Model Building Pipeline Execution Status Change"],
                    "detail": {
                        "pipelineArn": [self._names.arn("sagemaker", f"pipeline/{self._names.pipeline}")],
                        "currentPipelineExecutionStatus": ["Succeeded", "Failed", "Stopped"],
                    },
                },
            )
            return
        self.function.hears(
            "jobs",
            "A training job has ended",
            {
                "source": ["aws.sagemaker"],
                "detail-type": ["SageMaker Training Job State Change"],
                "detail": {
                    "TrainingJobName": [{"prefix": f"{prefix}-"}],
                    "TrainingJobStatus": ["Completed", "Failed", "Stopped"],
                },
            },
        )


def _job(names: Names, settings: Settings, image: str, signing_key: str) -> JobSettings:
    """A new version must pass the gates of any release."""
    own = settings.retraining
    return JobSettings(
        role=names.training_role_arn,
        image=image,
        instance_type=own.instance_type,
        max_seconds=60 * own.max_minutes,
        min_gain=own.min_gain,
        gates={metric: gate.model_dump(exclude_none=True) for metric, gate in settings.model.gates.items()},
        bucket=names.bucket,
        group=names.package_group,
        region=names.region,
        signing_key=signing_key,
        **_by_pipeline(names) if settings.pipeline.remote else {},
    )


def _by_pipeline(names: Names) -> dict[str, Any]:
    begun = begun_with(names)
    return {"pipeline": names.pipeline, "folder": begun["folder"], "takes": tuple(begun["takes"])}
