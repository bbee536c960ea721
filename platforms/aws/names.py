"""The names of a stack's resources on AWS.

A model or an endpoint config never changes under its name, a digest of its content. The archive is bit-identical for a
recipe, so the recipe stands for the archive, and every name is known before anything is trained.
"""

from __future__ import annotations

from dataclasses import dataclass

from rollout.core.release import PROCESS
from services.declaration.alarm_names import alarm_name, answer_alarms
from services.release_names import ReleaseNames

CAPTURE, LABELS, RETRAINING, AUDIT = "capture", "labels", "retraining", "audit"
MLFLOW, PIPELINE = "mlflow", "pipeline"
"""Folders of the bucket; that of packages is in `packages`."""
SETTINGS, NOTHING, REFUSED = "settings", "nothing", "refused"
"""Folders of the pipeline: texts of executions, the stand-in for an input that is not given, refusals of jobs."""
MONITORING = "MONITORING"
"""The variable of the functions that measure: `services.measuring.Measuring` as JSON."""
INDEX = "queue"
"""The index of the table of documents, and its key."""
CAPTURE_ASIDE, LABELS_ASIDE = "capture-rejected", "labels-rejected"
"""The folders of rejected lines, with the reasons."""
VERSIONS = "versions"
"""The id of the bucket's rule for deleted or overwritten objects."""


def prefix(model: str, stack: str) -> str:
    """The prefix of every name of a stack; also the name of its endpoint."""
    return f"{model}-{stack}"


def journal(endpoint: str) -> str:
    """The DynamoDB table of the rollout journal of an endpoint."""
    return f"{endpoint}-rollouts"


def documents(endpoint: str) -> str:
    """The DynamoDB table of an endpoint's documents: its ledger of labels, and its record of drift."""
    return f"{endpoint}-documents"


@dataclass(frozen=True)
class Names(ReleaseNames):
    """The names of one stack in an account, a region and a partition."""

    account: str
    region: str
    partition: str = "aws"

    @property
    def endpoint(self) -> str:
        """The SageMaker endpoint."""
        return self.prefix

    @property
    def package_group(self) -> str:
        """The model package group."""
        return self.prefix

    @property
    def bucket(self) -> str:
        """The artifact bucket; the account makes it globally unique."""
        return f"{self.prefix}-artifacts-{self.account}"

    @property
    def repository(self) -> str:
        """The container repository."""
        return f"{self.prefix}-serving"

    @property
    def process_image(self) -> str:
        """The image URI that the local cloud serves by running the entry point as a process."""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com/{self.repository}:{PROCESS}"

    @property
    def serving_role(self) -> str:
        """The role that the model's containers run with."""
        return f"{self.prefix}-serving"

    @property
    def promotion_role(self) -> str:
        """The role that stacks of other accounts assume to take the champion."""
        return f"{self.prefix}-promotion"

    @property
    def training_role(self) -> str:
        """The role that training jobs run with."""
        return f"{self.prefix}-training"

    @property
    def pipeline(self) -> str:
        """The SageMaker pipeline."""
        return self.prefix

    @property
    def pipeline_role(self) -> str:
        """The role that executions of the pipeline run with."""
        return f"{self.prefix}-pipeline"

    @property
    def building_role(self) -> str:
        """The role of the pipeline's jobs that run the model's code."""
        return f"{self.prefix}-building"

    @property
    def releasing_role(self) -> str:
        """The role of the pipeline's job that signs and registers."""
        return f"{self.prefix}-releasing"

    @property
    def pipeline_folder(self) -> str:
        """The folder of the pipeline's executions."""
        return f"s3://{self.bucket}/{PIPELINE}"

    @property
    def journal(self) -> str:
        """The DynamoDB table of the rollout journal."""
        return journal(self.prefix)

    @property
    def alerts(self) -> str:
        """The SNS topic of alarms and verdicts."""
        return f"{self.prefix}-alerts"

    @property
    def dead_letters(self) -> str:
        """The queue of alarms that the rollback function could not handle."""
        return f"{self.prefix}-rollback-dlq"

    @property
    def documents(self) -> str:
        """The DynamoDB table of the stack's documents."""
        return documents(self.prefix)

    @property
    def labels_dead_letters(self) -> str:
        """The queue of files that the labels function could not take in."""
        return f"{self.prefix}-labels-dlq"

    @property
    def captures(self) -> str:
        """The queue of captured files for drift, and the rule that fills it."""
        return f"{self.prefix}-captures"

    @property
    def captures_dead_letters(self) -> str:
        """The queue of captured files that the drift function could not handle."""
        return f"{self.prefix}-captures-dlq"

    @property
    def log(self) -> str:
        """The log group of all functions; a stream's name contains its function's."""
        return f"/aws/lambda/{self.prefix}"

    @property
    def containers_log(self) -> str:
        """The log group of the model's containers, as SageMaker names it; a stream's name contains its variant's."""
        return f"/aws/sagemaker/Endpoints/{self.endpoint}"

    @property
    def mlflow(self) -> str:
        """The MLflow that SageMaker runs for the stack, and its role."""
        return f"{self.prefix}-mlflow"

    @property
    def schedules_role(self) -> str:
        """The role that schedules call functions with."""
        return f"{self.prefix}-schedules"

    @property
    def dashboard(self) -> str:
        """The CloudWatch dashboard."""
        return self.prefix

    def function(self, handler: str) -> str:
        """The Lambda function, and its role, of a handler in `platforms.aws.handlers`; or a shared role."""
        return f"{self.prefix}-{handler}"

    def alarm(self, subject: str, measure: str) -> str:
        """See `alarm_name`."""
        return alarm_name(self.prefix, subject, measure)

    def answer_alarms(self, variant_name: str) -> tuple[str, ...]:
        """See `answer_alarms`."""
        return answer_alarms(self.prefix, variant_name)

    def arn(self, service: str, resource: str, *, account: str | None = None, region: str | None = None) -> str:
        """The ARN of a resource of this stack; S3 and IAM leave out the region, S3 the account."""
        place = self.region if region is None else region
        owner = self.account if account is None else account
        return f"arn:{self.partition}:{service}:{place}:{owner}:{resource}"

    @property
    def serving_role_arn(self) -> str:
        """The ARN of the serving role, known before the role exists."""
        return self.role_arn(self.serving_role)

    def role_arn(self, role: str) -> str:
        """The ARN of a role of this stack, known before the role exists."""
        return self.arn("iam", f"role/{role}", region="")

    @property
    def training_role_arn(self) -> str:
        """The ARN of the training role, known before the role exists."""
        return self.role_arn(self.training_role)

    def model_of(self, recipe: str, image: str) -> str:
        """The SageMaker model of a recipe in an image."""
        return self.named({"recipe": recipe, "image": image, "role": self.serving_role_arn, "bucket": self.bucket})
