"""The names of a stack's resources on AWS.

A model or an endpoint config never changes under its name, a digest of its content. The archive is bit-identical for a
recipe, so the recipe stands for the archive, and every name is known before anything is trained.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelstack.rollout.core.release import PROCESS
from modelstack.services.declaration.alarm_names import alarm_name
from modelstack.services.release_names import ReleaseNames

CAPTURE, LABELS, RETRAINING, AUDIT = "capture", "labels", "retraining", "audit"
MLFLOW, PIPELINE = "mlflow", "pipeline"
"""Folders of the bucket; that of packages is in `packages`."""
SETTINGS, NOTHING, REFUSED = "settings", "nothing", "refused"
"""Folders of the pipeline: texts of executions, the stand-in for an input that is not given, refusals of jobs."""
MONITORING = "MONITORING"
"""The variable of the functions that measure: `modelstack.services.measuring.Measuring` as JSON."""
INDEX = "queue"
"""The index of the table of documents, and its key."""
CAPTURE_ASIDE, LABELS_ASIDE = "capture-rejected", "labels-rejected"
"""The folders of rejected lines, with the reasons."""
VERSIONS = "versions"
"""The id of the bucket's rule for deleted or overwritten objects."""


def journal(endpoint: str) -> str:
    """The DynamoDB table of the rollout journal of an endpoint."""
    return f"{endpoint}-rollouts"


def documents(endpoint: str) -> str:
    """The DynamoDB table of an endpoint's documents: its ledger of labels, and its record of drift."""
    return f"{endpoint}-documents"


class _Name:
    """A name of a resource, from the fields of its stack's `Names`."""

    def __init__(self, form: str) -> None:
        self._form = form

    def __get__(self, names: Names, owner: type[Names]) -> str:
        return self._form.format(names)


@dataclass(frozen=True)
class Names(ReleaseNames):
    """The names of one stack in an account, a region and a partition."""

    account: str
    region: str
    partition: str = "aws"
    own_bucket: str = ""
    """The name of a bucket that the stack does not make."""

    endpoint = package_group = pipeline = dashboard = _Name("{0.prefix}")
    repository = _Name("{0.prefix}-serving")
    process_image = _Name(f"{{0.account}}.dkr.ecr.{{0.region}}.amazonaws.com/{{0.repository}}:{PROCESS}")
    """The image URI that the local cloud serves by running the entry point as a process."""
    pipeline_folder = _Name(f"s3://{{0.bucket}}/{PIPELINE}")
    serving_role = _Name("{0.prefix}-serving")
    promotion_role = _Name("{0.prefix}-promotion")
    """The role that stacks of other accounts assume to take the champion."""
    training_role = _Name("{0.prefix}-training")
    serving_role_arn = _Name("arn:{0.partition}:iam::{0.account}:role/{0.serving_role}")
    training_role_arn = _Name("arn:{0.partition}:iam::{0.account}:role/{0.training_role}")
    pipeline_role = _Name("{0.prefix}-pipeline")
    """The role of the pipeline's executions."""
    building_role = _Name("{0.prefix}-building")
    """The role of the pipeline's jobs that run the model's code."""
    releasing_role = _Name("{0.prefix}-releasing")
    """The role of the pipeline's job that signs and registers."""
    schedules_role = _Name("{0.prefix}-schedules")
    alerts = _Name("{0.prefix}-alerts")
    """The SNS topic of alarms and verdicts."""
    dead_letters = _Name("{0.prefix}-rollback-dlq")
    labels_dead_letters = _Name("{0.prefix}-labels-dlq")
    captures_dead_letters = _Name("{0.prefix}-captures-dlq")
    captures = _Name("{0.prefix}-captures")
    """The queue of captured files for drift, and the rule that fills it."""
    log = _Name("/aws/lambda/{0.prefix}")
    """The log group of all functions; a stream's name contains its function's."""
    containers_log = _Name("/aws/sagemaker/Endpoints/{0.endpoint}")
    """The log group of the model's containers, as SageMaker names it; a stream's name contains its variant's."""
    mlflow = _Name("{0.prefix}-mlflow")
    """The MLflow that SageMaker runs for the stack, and its role."""

    @property
    def bucket(self) -> str:
        """The bucket of packages and captures; the account makes the name globally unique."""
        return self.own_bucket or f"{self.prefix}-artifacts-{self.account}"

    @property
    def journal(self) -> str:
        """The DynamoDB table of the rollout journal."""
        return journal(self.prefix)

    @property
    def documents(self) -> str:
        """The DynamoDB table of the stack's documents."""
        return documents(self.prefix)

    def function(self, handler: str) -> str:
        """The Lambda function, and its role, of a handler in `modelstack.platforms.aws.handlers`; or a shared role."""
        return f"{self.prefix}-{handler}"

    def alarm(self, subject: str, measure: str) -> str:
        return alarm_name(self.prefix, subject, measure)

    def arn(self, service: str, resource: str, *, account: str | None = None, region: str | None = None) -> str:
        """The ARN of a resource of this stack; S3 and IAM leave out the region, S3 the account."""
        place = self.region if region is None else region
        owner = self.account if account is None else account
        return f"arn:{self.partition}:{service}:{place}:{owner}:{resource}"

    def role_arn(self, role: str) -> str:
        """The ARN of a role of this stack, known before the role exists."""
        return self.arn("iam", f"role/{role}", region="")

    def model_of(self, recipe: str, image: str) -> str:
        """The SageMaker model of a recipe in an image."""
        return self.named({"recipe": recipe, "image": image, "role": self.serving_role_arn, "bucket": self.bucket})
