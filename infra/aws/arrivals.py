"""How the drift function hears of captured requests."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra.aws import policies
from infra.aws.dead_letters import dead_letters
from infra.aws.function import Function
from platforms.aws.names import Names

WINDOW_SECONDS = 5
"""How long files gather before they call the function."""
FILES = 100
"""Files that one call is told of at most."""
AT_ONCE = 2
"""Calls at a time, the fewest that AWS takes: those of one variant only wait for each other."""
ATTEMPTS = 5
_RUNS = 6  # AWS's advice: a message stays hidden for as long as so many calls may take, and the window


class Arrivals(pulumi.ComponentResource):
    """How the drift function hears of captured requests.

    Creates:
        A rule on files that arrive under the endpoint's folder of captures; an encrypted, TLS-only queue that it fills,
        with a dead-letter queue, and an alarm on that one's depth; the mapping that calls the function.

    The bucket's own notifications of that folder are the labels function's, and S3 allows no second one of it. So this
    way goes by EventBridge, which the bucket tells besides.
    """

    def __init__(
        self,
        name: str,
        names: Names,
        *,
        function: Function,
        timeout: int,
        alerts: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the way of captured files.

        Args:
            name: The logical name.
            names: The stack's names.
            function: Who is called.
            timeout: The longest that a call may take, in seconds.
            alerts: The ARN of the topic that the alarm tells.
            opts: Options of the component.
        """
        super().__init__("modelstack:index:Arrivals", name, None, opts)
        self._names, self._child = names, pulumi.ResourceOptions(parent=self)
        dead = dead_letters(
            "captures-dead-letters",
            names.captures_dead_letters,
            alarm=names.alarm("drift", "dead-letters"),
            description="The drift of a captured file could not be measured, however often it was tried; the event "
            f"lies in {names.captures_dead_letters}, the reason in the log of {names.function('drift')}. Once it is "
            "mended, move the events back (aws sqs start-message-move-task): no row counts twice.",
            severity="ticket",
            alerts=alerts,
            opts=self._child,
        )
        self.queue = aws.sqs.Queue(
            "captures",
            name=names.captures,
            sqs_managed_sse_enabled=True,
            visibility_timeout_seconds=_RUNS * timeout + WINDOW_SECONDS,
            redrive_policy=dead.arn.apply(
                lambda arn: json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": ATTEMPTS})
            ),
            opts=self._child,
        )
        aws.sqs.QueuePolicy(
            "captures-dead-letters",
            queue_url=dead.url,
            policy=policies.document(policies.queue_tls_only(names, names.captures_dead_letters)),
            opts=self._child,
        )
        self._fill()
        aws.lambda_.EventSourceMapping(
            "captures",
            event_source_arn=self.queue.arn,
            function_name=function.function.name,
            batch_size=FILES,
            maximum_batching_window_in_seconds=WINDOW_SECONDS,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config=aws.lambda_.EventSourceMappingScalingConfigArgs(maximum_concurrency=AT_ONCE),
            opts=self._child,
        )
        self.register_outputs({"queue": self.queue.url})

    def _fill(self) -> None:
        """Have each captured file leave a message in the queue."""
        names = self._names
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
                        "object": {"key": [{"prefix": f"capture/{names.endpoint}/"}]},
                    },
                }
            ),
            opts=self._child,
        )
        policy = aws.sqs.QueuePolicy(
            "captures", queue_url=self.queue.url, policy=policies.captures(names), opts=self._child
        )
        aws.cloudwatch.EventTarget(
            "captures",
            rule=rule.name,
            target_id="captures",
            arn=self.queue.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
