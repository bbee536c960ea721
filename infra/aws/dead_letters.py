"""Dead-letter queues."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

_KEPT = 14 * 24 * 3600  # seconds; the longest that SQS keeps a message


def dead_letters(logical: str, name: str, opts: pulumi.ResourceOptions, policy: str) -> aws.sqs.Queue:
    """Declare an encrypted dead-letter queue; `infra.aws.alarms` has the alarms on queue depth."""
    return aws.sqs.Queue(
        logical,
        name=name,
        message_retention_seconds=_KEPT,
        sqs_managed_sse_enabled=True,
        policy=policy,
        opts=opts,
    )
