"""Delivery of captured files to the drift function."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from modelstack.platforms.aws.names import CAPTURE, Names
from modelstack.program.aws import policies
from modelstack.program.aws.function import Function, dead_letters

WINDOW_SECONDS = 5
"""How long files are batched before a call."""
FILES = 100
"""The largest batch."""
AT_ONCE = 2
"""Concurrent calls; the fewest that AWS accepts. Calls for one variant only wait for each other."""
ATTEMPTS = 5
_RUNS = 6  # AWS's advice: visibility timeout = 6 x function timeout + batch window


def arrivals(names: Names, function: Function, timeout: int, opts: pulumi.ResourceOptions) -> None:
    """Declare the delivery of captured files to the drift function, whose `timeout` is in seconds.

    An EventBridge rule on the capture folder fills an encrypted, TLS-only queue with a dead-letter queue; a mapping
    calls the function. S3 allows only one notification per folder, and the labels function has it.
    """
    dead = dead_letters(
        "captures-dead-letters", names.captures_dead_letters, opts, policies.captures_dead_letters(names)
    )
    queue = aws.sqs.Queue(
        "captures",
        name=names.captures,
        sqs_managed_sse_enabled=True,
        visibility_timeout_seconds=_RUNS * timeout + WINDOW_SECONDS,
        redrive_policy=dead.arn.apply(
            lambda arn: json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": ATTEMPTS})
        ),
        policy=policies.captures(names),
        opts=opts,
    )
    rule = aws.cloudwatch.EventRule(
        "captures",
        name=names.captures,
        description=f"Files of captured requests of {names.endpoint}",
        event_pattern=json.dumps(
            {
                "source": ["aws.s3"],
                "detail-type": ["Object Created"],
                "detail": {
                    "bucket": {"name": [names.bucket]},
                    "object": {"key": [{"prefix": f"{CAPTURE}/{names.endpoint}/"}]},
                },
            }
        ),
        opts=opts,
    )
    aws.cloudwatch.EventTarget("captures", rule=rule.name, target_id="captures", arn=queue.arn, opts=opts)
    aws.lambda_.EventSourceMapping(
        "captures",
        event_source_arn=queue.arn,
        function_name=function.function.name,
        batch_size=FILES,
        maximum_batching_window_in_seconds=WINDOW_SECONDS,
        function_response_types=["ReportBatchItemFailures"],
        scaling_config=aws.lambda_.EventSourceMappingScalingConfigArgs(maximum_concurrency=AT_ONCE),
        opts=opts,
    )
