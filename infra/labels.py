"""How late labels reach the answers that they are about."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.config import MonitoringSettings
from infra.dead_letters import dead_letters
from infra.function import Function
from infra.lambda_zip import Bundle
from infra.naming import Names
from infra.registry import Registry

SWEEP_MINUTES = 5
FOLDERS = ("capture", "labels")


class Labels(pulumi.ComponentResource):
    """How captured answers are checked, and late labels joined with them.

    Creates:
        The ledger, a table where each half of a pair waits for the other, with an index of the labels that wait, and an
        expiry; the labels function, called for each file under `capture/` and `labels/` of the bucket and on a
        schedule; a dead-letter queue for files that it could not take in, with an alarm on its depth.
    """

    def __init__(
        self,
        name: str,
        names: Names,
        *,
        settings: MonitoringSettings,
        registry: Registry,
        alerts: pulumi.Input[str],
        code: Bundle,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the path of labels.

        Args:
            name: The logical name.
            names: The stack's names.
            settings: How long a label waits for its answer.
            registry: The bucket where captures and labels arrive.
            alerts: The ARN of the topic that alarms tell.
            code: The sealed archive of the handlers.
            opts: Options of the component.
        """
        super().__init__("modelstack:index:Labels", name, None, opts)
        self._names, self._child = names, pulumi.ResourceOptions(parent=self)
        self.ledger = self._ledger()
        queue = dead_letters(
            "labels-dead-letters",
            names.labels_dead_letters,
            alarm=names.alarm("labels", "dead-letters"),
            description="A file of labels or captures could not be taken in; the event lies in "
            f"{names.labels_dead_letters}, the reason in the function's log. Once it is mended, send the event to the "
            "function again: what was counted is not counted twice.",
            alerts=alerts,
            opts=self._child,
        )
        self.function = Function(
            "labels",
            names,
            code=code,
            does="Check captured answers, join late labels with them, and put how valid and how right each was.",
            statements=registry.key.arn.apply(lambda key: policies.labels(names, key)),
            alerts=alerts,
            timeout=300,
            dead_letters=queue.arn,
            environment={
                "LABELS_TABLE": names.labels,
                "LABELS_WAIT_SECONDS": str(60 * settings.labels_minutes),
            },
            opts=self._child,
        )
        self.function.runs_every(SWEEP_MINUTES)
        permission = self.function.may_be_called_by("s3", registry.bucket.arn)
        aws.s3.BucketNotification(
            "files",
            bucket=registry.bucket.bucket,
            lambda_functions=[
                aws.s3.BucketNotificationLambdaFunctionArgs(
                    id=folder,
                    lambda_function_arn=self.function.function.arn,
                    events=["s3:ObjectCreated:*"],
                    filter_prefix=f"{folder}/",
                )
                for folder in FOLDERS
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission, self.ledger]),
        )
        self.register_outputs({"ledger": self.ledger.name, "function": self.function.function.name})

    def _ledger(self) -> aws.dynamodb.Table:
        return aws.dynamodb.Table(
            "ledger",
            name=self._names.labels,
            billing_mode="PAY_PER_REQUEST",
            hash_key="id",
            attributes=[
                aws.dynamodb.TableAttributeArgs(name="id", type="S"),
                aws.dynamodb.TableAttributeArgs(name="waiting", type="S"),
                aws.dynamodb.TableAttributeArgs(name="since", type="N"),
            ],
            global_secondary_indexes=[
                aws.dynamodb.TableGlobalSecondaryIndexArgs(
                    name="waiting",
                    key_schemas=[
                        aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(attribute_name="waiting", key_type="HASH"),
                        aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(attribute_name="since", key_type="RANGE"),
                    ],
                    projection_type="ALL",
                )
            ],
            ttl=aws.dynamodb.TableTtlArgs(attribute_name="expires", enabled=True),
            point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
            server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(enabled=True),
            opts=self._child,
        )
