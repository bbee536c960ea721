"""How the drift function hears of captured requests."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra.aws import policies
from infra.aws.dead_letters import dead_letters
from infra.aws.function import Function
from platforms.aws.names import CAPTURE, Names

WINDOW_SECONDS = 5
"""How long files gather before they call the function."""
FILES = 100
"""Files that one call is told of at most."""
AT_ONCE = 2
"""Calls at a time, the fewest that AWS takes: those of one variant only wait for each other."""
ATTEMPTS = 5
_RUNS = 6  # AWS's advice: a message stays hidden for as long as so many calls may take, and the window


def arrivals(names: Names, function: Function, timeout: int, opts: pulumi.ResourceOptions) -> None:
    """Declare how the drift function hears of captured requests.

    By a rule on files that arrive under the endpoint's folder of captures; an encrypted, TLS-only queue that it fills,
    with a dead-letter queue; and the mapping that calls the function.

    The bucket's own notifications of that folder are the labels function's, and S3 allows no second one of it. So this
    way goes by EventBridge, which the bucket tells besides.

    Args:
        names: The stack's names.
        function: Who is called.
        timeout: The longest that a call may take, in seconds.
        opts: Options of each resource.
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
