"""What brings traffic back, and what carries a rollout on when nobody waits for it."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.function import Function
from infra.lambda_zip import Bundle
from infra.naming import Names
from infra.registry import Registry

# 20 s of following, 60 s of a replay, and the two requests under way at its end with all their attempts of 15 s.
ADVANCE_SECONDS = 240


class Rollback(pulumi.ComponentResource):
    """What brings traffic back to the champion when an alarm rings, and carries rollouts on.

    Creates:
        The alerts topic; the rollback function, subscribed to it; a dead-letter queue for alarms that neither the topic
        nor the function could handle, with an alarm on its depth; the advance function, once a minute.
    """

    def __init__(
        self,
        name: str,
        names: Names,
        *,
        registry: Registry,
        code: Bundle,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the way back.

        Args:
            name: The logical name.
            names: The stack's names.
            registry: Where captured requests lie, which the advance function replays.
            code: The sealed archive of the handlers.
            opts: Options of the component.
        """
        super().__init__("modelstack:index:Rollback", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.alerts = aws.sns.Topic("alerts", name=names.alerts, opts=child)
        aws.sns.TopicPolicy("alerts", arn=self.alerts.arn, policy=policies.alerts(names), opts=child)
        self.dead_letters = self._dead_letters(names, child)
        self.rollback = Function(
            "rollback",
            names,
            code=code,
            does="Return all traffic to the champion when an alarm on the challenger rings.",
            statements=[*policies.controller(names), policies.own_dead_letters(names)],
            alerts=self.alerts.arn,
            timeout=120,
            dead_letters=self.dead_letters.arn,
            opts=child,
        )
        permission = self.rollback.may_be_called_by("sns", self.alerts.arn)
        aws.sns.TopicSubscription(
            "rollback",
            topic=self.alerts.arn,
            protocol="lambda",
            endpoint=self.rollback.function.arn,
            redrive_policy=self.dead_letters.arn.apply(lambda arn: json.dumps({"deadLetterTargetArn": arn})),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission]),
        )
        self.advance = Function(
            "advance",
            names,
            code=code,
            does="Carry the rollout on by one step of its plan.",
            statements=registry.key.arn.apply(lambda key: [*policies.controller(names), *policies.replay(names, key)]),
            alerts=self.alerts.arn,
            timeout=ADVANCE_SECONDS,
            opts=child,
        )
        self.advance.runs_every(1)
        self.register_outputs({"alerts": self.alerts.arn, "function": self.rollback.function.name})

    def _dead_letters(self, names: Names, child: pulumi.ResourceOptions) -> aws.sqs.Queue:
        queue = aws.sqs.Queue(
            "dead-letters",
            name=names.dead_letters,
            message_retention_seconds=14 * 24 * 3600,
            sqs_managed_sse_enabled=True,
            opts=child,
        )
        aws.sqs.QueuePolicy("dead-letters", queue_url=queue.url, policy=policies.dead_letters(names), opts=child)
        aws.cloudwatch.MetricAlarm(
            "dead-letters",
            name=names.alarm("rollback", "dead-letters"),
            alarm_description=f"An alarm could not be handled and lies in {names.dead_letters}: look whether the "
            "champion has all traffic, then read the queue.",
            namespace="AWS/SQS",
            metric_name="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": names.dead_letters},
            statistic="Maximum",
            period=60,
            evaluation_periods=1,
            datapoints_to_alarm=1,
            threshold=0,
            comparison_operator="GreaterThanThreshold",
            treat_missing_data="notBreaching",  # an idle queue sends no metric
            alarm_actions=[self.alerts.arn],
            opts=child,
        )
        return queue
