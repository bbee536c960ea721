"""What brings traffic back when an alarm rings."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra.aws import policies
from infra.aws.dead_letters import dead_letters
from infra.aws.function import Function
from infra.aws.lambda_zip import Bundle
from infra.aws.registry import Registry
from infra.aws.site import Site
from platforms.aws.names import Names


class Rollback(pulumi.ComponentResource):
    """What brings traffic back to the champion when an alarm on the challenger rings.

    Creates:
        The alerts topic; the rollback function, subscribed to it; a dead-letter queue for alarms that neither the topic
        nor the function could handle, with an alarm on its depth.
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
            registry: What the site has beside the topic.
            code: The sealed archive of the handlers.
            opts: Options of the component.
        """
        super().__init__("modelstack:index:Rollback", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.alerts = aws.sns.Topic("alerts", name=names.alerts, opts=child)
        self.site = Site(names, registry, code, self.alerts.arn)
        aws.sns.TopicPolicy("alerts", arn=self.alerts.arn, policy=policies.alerts(names), opts=child)
        self.dead_letters = dead_letters(
            "dead-letters",
            names.dead_letters,
            alarm=names.alarm("rollback", "dead-letters"),
            description=f"An alarm could not be handled and lies in {names.dead_letters}: look whether the champion "
            "has all traffic, then read the queue.",
            severity="page",
            alerts=self.alerts.arn,
            opts=child,
        )
        aws.sqs.QueuePolicy(
            "dead-letters", queue_url=self.dead_letters.url, policy=policies.dead_letters(names), opts=child
        )
        self.rollback = Function(
            "rollback",
            self.site,
            does="Return all traffic to the champion when an alarm on the challenger rings.",
            statements=[*policies.controller(names), policies.own_dead_letters(names)],
            timeout=120,
            severity="page",
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
        self.register_outputs({"alerts": self.alerts.arn, "function": self.rollback.function.name})
