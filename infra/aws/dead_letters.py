"""Where events wait that nothing could handle, and the alarm that says so."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.aws.alarm import told
from monitoring.objectives.slo import Severity

_KEPT = 14 * 24 * 3600  # seconds; the longest that SQS keeps a message


def dead_letters(
    logical: str,
    queue_name: str,
    *,
    alarm: str,
    description: str,
    severity: Severity,
    alerts: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> aws.sqs.Queue:
    """Declare a dead-letter queue with an alarm on its depth.

    Args:
        logical: The logical name of both.
        queue_name: The queue's name.
        alarm: The alarm's name.
        description: What an event in the queue means, and what to do, in sentences.
        severity: How urgent that is.
        alerts: The ARN of the topic that the alarm tells.
        opts: Options of both.
    """
    queue = aws.sqs.Queue(
        logical, name=queue_name, message_retention_seconds=_KEPT, sqs_managed_sse_enabled=True, opts=opts
    )
    aws.cloudwatch.MetricAlarm(
        logical,
        name=alarm,
        **told(description, severity, "read-a-dead-letter-queue"),
        namespace="AWS/SQS",
        metric_name="ApproximateNumberOfMessagesVisible",
        dimensions={"QueueName": queue_name},
        statistic="Maximum",
        period=60,
        evaluation_periods=1,
        datapoints_to_alarm=1,
        threshold=0,
        comparison_operator="GreaterThanThreshold",
        treat_missing_data="notBreaching",  # an idle queue sends no metric
        alarm_actions=[alerts],
        opts=opts,
    )
    return queue
