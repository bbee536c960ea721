"""A Lambda function that runs one of the handlers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from modelstack.program.aws import policies
from modelstack.program.aws.site import Site
from modelstack.program.aws.statements import Statement, document, trust

RUNTIME = "python3.13"
"""The newest Python that both Lambda and the SageMaker SDK support. Containers use their base image's."""


class FunctionRole:
    """A role for one function, or for several that run the same program.

    Creates:
        The role, and a policy of the statements plus writing to the functions' log.
    """

    def __init__(
        self,
        name: str,
        site: Site,
        statements: pulumi.Input[list[Statement]],
        opts: pulumi.ResourceOptions,
    ) -> None:
        names, full = site.names, site.names.function(name)
        self.role = aws.iam.Role(name, name=full, assume_role_policy=trust("lambda"), opts=opts)
        self.policy = aws.iam.RolePolicy(
            name,
            name=full,
            role=self.role.name,
            policy=pulumi.Output.from_input(statements).apply(
                lambda items: document(policies.function_logs(names), *items)
            ),
            opts=opts,
        )


class Function:
    """A Lambda function.

    Creates:
        The function, and a role of its own unless it is given one. `alarms` counts its errors.
    """

    def __init__(
        self,
        handler: str,
        site: Site,
        *,
        does: str,
        may: pulumi.Input[list[Statement]] | FunctionRole,
        timeout: int,
        dead_letters: pulumi.Input[str] | None = None,
        environment: Mapping[str, pulumi.Input[str]] | None = None,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """Declare the function.

        Args:
            handler: The module in `modelstack.platforms.aws.handlers` whose `handler` runs.
            site: The context of all functions.
            does: Its description.
            may: The statements of its own role, or a shared role.
            timeout: Seconds per call.
            dead_letters: The ARN of the queue for failed events.
            environment: Additional environment variables.
            opts: Options of each resource.
        """
        self._name, self._site, self._opts = handler, site, opts
        names, code = site.names, site.code
        role = may if isinstance(may, FunctionRole) else FunctionRole(handler, site, may, opts)
        self.function = aws.lambda_.Function(
            handler,
            name=names.function(handler),
            description=does,
            role=role.role.arn,
            runtime=RUNTIME,
            handler=f"modelstack.platforms.aws.handlers.{handler}.handler",
            code=pulumi.FileArchive(str(code.path)),
            source_code_hash=code.sha256_base64,
            timeout=timeout,
            memory_size=256,
            environment=aws.lambda_.FunctionEnvironmentArgs(variables={**_environment(site), **(environment or {})}),
            dead_letter_config=aws.lambda_.FunctionDeadLetterConfigArgs(target_arn=dead_letters)
            if dead_letters
            else None,
            logging_config=aws.lambda_.FunctionLoggingConfigArgs(log_format="Text", log_group=site.log),
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[role.policy])),
        )

    def runs_every(self, minutes: int) -> None:
        """Declare a schedule."""
        unit = "minute" if minutes == 1 else "minutes"
        aws.scheduler.Schedule(
            self._name,
            name=self._site.names.function(self._name),
            description=f"Runs the function of this name every {minutes} {unit}",
            schedule_expression=f"rate({minutes} {unit})",
            flexible_time_window=aws.scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
            target=aws.scheduler.ScheduleTargetArgs(arn=self.function.arn, role_arn=self._site.schedules),
            opts=self._opts,
        )

    def hears(self, what: str, description: str, pattern: Mapping[str, Any]) -> None:
        """Declare a rule that calls the function for each event of the account's bus that matches the pattern."""
        declared = f"{self._name}-{what}"
        rule = aws.cloudwatch.EventRule(
            declared,
            name=f"{self._site.names.function(self._name)}-{what}",
            description=description,
            event_pattern=json.dumps(pattern, sort_keys=True),
            opts=self._opts,
        )
        permission = self.may_be_called_by("events", rule.arn, f"-{what}")
        aws.cloudwatch.EventTarget(
            declared,
            rule=rule.name,
            target_id=self._name,
            arn=self.function.arn,
            opts=pulumi.ResourceOptions.merge(self._opts, pulumi.ResourceOptions(depends_on=[permission])),
        )

    def may_be_called_by(self, service: str, source: pulumi.Input[str], of: str = "") -> aws.lambda_.Permission:
        """Declare that one resource (an ARN) of a service such as `s3` may call it; `of` makes the id unique."""
        return aws.lambda_.Permission(
            f"{self._name}-{service}{of}",
            statement_id=f"called-by-{service}{of}",
            action="lambda:InvokeFunction",
            function=self.function.name,
            principal=f"{service}.amazonaws.com",
            source_arn=source,
            opts=self._opts,
        )


def dead_letters(logical: str, name: str, opts: pulumi.ResourceOptions, policy: str) -> aws.sqs.Queue:
    """Declare an encrypted dead-letter queue; `modelstack.program.aws.alarms` has the alarms on queue depth."""
    return aws.sqs.Queue(
        logical,
        name=name,
        message_retention_seconds=14 * 24 * 3600,  # the longest that SQS keeps a message
        sqs_managed_sse_enabled=True,
        policy=policy,
        opts=opts,
    )


def _environment(site: Site) -> dict[str, pulumi.Input[str]]:
    names = site.names
    return {
        "ENDPOINT_NAME": names.endpoint,
        "JOURNAL_TABLE": site.journal,
        "DOCUMENTS_TABLE": site.documents,
        "ALERTS_TOPIC": names.arn("sns", names.alerts),
        "ARTIFACT_BUCKET": names.bucket,
        "PACKAGE_GROUP": names.package_group,
        "MODELSTACK_STACK": names.stack,
    }
