"""How late labels reach the answers that they are about."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra.aws import policies
from infra.aws.alarm import told
from infra.aws.dead_letters import dead_letters
from infra.aws.function import Function
from infra.aws.site import Site
from infra.config.settings import MonitoringSettings
from infra.plan.releases import ServingPlan
from monitoring.labels.pairs import DELAY
from monitoring.labels.standing import EVIDENCE

SWEEP_MINUTES = 5
LATE_MINUTES = 15
FOLDERS = ("capture", "labels")


class Labels(pulumi.ComponentResource):
    """How captured answers are checked, and late labels joined with them.

    Creates:
        The ledger, a table where each half of a pair waits for the other, with an index of the labels that wait, and an
        expiry; the labels function, called for each file under `capture/` and `labels/` of the bucket and on a
        schedule; a dead-letter queue for files that it could not take in, with an alarm on its depth; an alarm that
        rings when files wait long; per variant an alarm that rings when its concept has moved.
    """

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        plan: ServingPlan,
        settings: MonitoringSettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the path of labels.

        Args:
            name: The logical name.
            site: What all functions of the stack have; the registry is where captures and labels arrive.
            plan: Which releases are declared.
            settings: How long labels take, and how far losses may rise.
            opts: Options of the component.
        """
        super().__init__("modelstack:index:Labels", name, None, opts)
        self._names, self._child = site.names, pulumi.ResourceOptions(parent=self)
        for variant in dict.fromkeys(item.variant for item in plan.releases):
            self._concept_alarm(variant, settings, site.alerts)
        self.ledger = self._ledger()
        self.function = self._function(site, settings)
        self._hears_of_files(site.registry.bucket)
        self._late(site)
        self.register_outputs({"ledger": self.ledger.name, "function": self.function.function.name})

    def _function(self, site: Site, settings: MonitoringSettings) -> Function:
        queue = dead_letters(
            "labels-dead-letters",
            site.names.labels_dead_letters,
            alarm=site.names.alarm("labels", "dead-letters"),
            description="A file of labels or captures could not be taken in; the event lies in "
            f"{site.names.labels_dead_letters}, the reason in the function's log. Once it is mended, send the event to "
            "the function again: what was counted is not counted twice.",
            severity="ticket",
            alerts=site.alerts,
            opts=self._child,
        )
        function = Function(
            "labels",
            site,
            does="Check captured answers, join late labels with them, and put how valid and how right each was.",
            statements=site.allowed(policies.labels),
            timeout=300,
            dead_letters=queue.arn,
            environment={
                "LABELS_TABLE": site.names.labels,
                "LABELS_WAIT_SECONDS": str(60 * settings.labels_minutes),
                "LABELS_SEGMENTS": json.dumps(settings.segments),
                "LABELS_DAYS": str(settings.labels_days),
                "LABELS_LOSS_RISE": str(settings.max_loss_rise),
                "CONCEPT_FALSE_ALARMS": str(settings.concept_false_alarms),
                "DRIFT_MINUTES": str(settings.drift_minutes),
            },
            opts=self._child,
        )
        function.runs_every(SWEEP_MINUTES)
        return function

    def _hears_of_files(self, bucket: aws.s3.Bucket) -> None:
        """The function is called for each file of captures or labels."""
        permission = self.function.may_be_called_by("s3", bucket.arn)
        aws.s3.BucketNotification(
            "files",
            bucket=bucket.bucket,
            eventbridge=True,  # by which drift hears of captures: the notifications of a bucket are one resource
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

    def _late(self, site: Site) -> None:
        """Rings when files have waited long, for some minutes on end: one that a person sends again is no backlog."""
        aws.cloudwatch.MetricAlarm(
            "labels-late",
            name=site.names.alarm("labels", "late"),
            **told(
                f"Captures and labels are counted more than {LATE_MINUTES} minutes after they came: what is told of "
                "accuracy, of the concept and of a trial's answers is as old.",
                "ticket",
            ),
            namespace="modelstack",
            metric_name=DELAY,
            dimensions={"EndpointName": site.names.endpoint},
            statistic="Minimum",
            period=60,
            evaluation_periods=3,
            datapoints_to_alarm=3,
            threshold=60 * LATE_MINUTES,
            comparison_operator="GreaterThanThreshold",
            treat_missing_data="notBreaching",  # no file, nothing waits; one that does is counted by some call
            alarm_actions=[site.alerts],
            opts=self._child,
        )

    def _concept_alarm(self, variant: str, settings: MonitoringSettings, alerts: pulumi.Input[str]) -> None:
        """Rings at an evidence of 1, and tells people: another release would meet the same world."""
        aws.cloudwatch.MetricAlarm(
            f"{variant}-concept",
            name=self._names.alarm(variant, "concept"),
            **told(
                f"By its labels, the loss of {variant} has risen by more than {settings.max_loss_rise:.0%} above that "
                "of its evaluation, for days.",
                "ticket",
                "the-concept-has-moved",
            ),
            namespace="modelstack",
            metric_name=EVIDENCE,
            dimensions={"EndpointName": self._names.endpoint, "VariantName": variant},
            statistic="Maximum",
            period=settings.period_seconds,
            evaluation_periods=1,
            datapoints_to_alarm=1,
            threshold=1,
            comparison_operator="GreaterThanOrEqualToThreshold",
            treat_missing_data="ignore",  # no label says neither that the concept has moved nor that it is back
            alarm_actions=[alerts],
            opts=self._child,
        )

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
