"""One Lambda function of this repository's handlers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws import policies
from infra.aws.alarm import told
from infra.aws.site import Site
from monitoring.objectives.slo import Severity
from platforms.aws.names import Names

RUNTIME = "python3.11"
RETENTION_DAYS = 30


class Function(pulumi.ComponentResource):
    """A Lambda function with a role of its own.

    Creates:
        A role that may do what the statements say and write its own log; a log group; the function; an alarm on its own
        errors.
    """

    def __init__(
        self,
        handler: str,
        site: Site,
        *,
        does: str,
        statements: pulumi.Input[list[policies.Statement]],
        timeout: int,
        dead_letters: pulumi.Input[str] | None = None,
        environment: Mapping[str, str] | None = None,
        severity: Severity = "ticket",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the function.

        Args:
            handler: The module in `platforms.aws.handlers` whose `handler` runs.
            site: What all functions of the stack have.
            does: What it does, in a sentence.
            statements: What its role may do besides logging.
            timeout: The longest a call may take, in seconds.
            dead_letters: The ARN of the queue for events that it could not handle.
            environment: Environment variables besides those of every function.
            severity: How urgent it is when it fails.
            opts: Options of the component.
        """
        super().__init__("modelstack:index:Function", handler, None, opts)
        self._names, self._child = site.names, pulumi.ResourceOptions(parent=self)
        names, code = site.names, site.code
        name = names.function(handler)
        self.role = aws.iam.Role(handler, name=name, assume_role_policy=policies.trust("lambda"), opts=self._child)
        allowed = self._policy(statements)
        log = aws.cloudwatch.LogGroup(
            handler, name=f"/aws/lambda/{name}", retention_in_days=RETENTION_DAYS, opts=self._child
        )
        self.function = aws.lambda_.Function(
            handler,
            name=name,
            description=does,
            role=self.role.arn,
            runtime=RUNTIME,
            handler=f"platforms.aws.handlers.{handler}.handler",
            code=pulumi.FileArchive(str(code.path)),
            source_code_hash=code.sha256_base64,
            timeout=timeout,
            memory_size=256,
            environment=aws.lambda_.FunctionEnvironmentArgs(variables={**_environment(names), **(environment or {})}),
            dead_letter_config=_dead_letters(dead_letters),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed, log]),
        )
        self._errors(does, site.alerts, severity)
        self.register_outputs({"function": self.function.arn})

    def runs_every(self, minutes: int) -> None:
        """Declare that the function runs every so many minutes."""
        unit = "minute" if minutes == 1 else "minutes"
        self._ruled(
            "schedule",
            self.function.name,
            f"Runs {self._name} every {minutes} {unit}",
            schedule_expression=f"rate({minutes} {unit})",
        )

    def hears(self, what: str, description: str, pattern: Mapping[str, Any]) -> None:
        """Declare that the function is called for each event of the account's bus that matches a pattern.

        Args:
            what: Names the rule among the function's.
            description: What the events say.
            pattern: An event pattern of EventBridge.
        """
        name = f"{self._names.function(self._name)}-{what}"
        self._ruled(what, name, description, event_pattern=json.dumps(pattern, sort_keys=True))

    def _ruled(self, what: str, name: pulumi.Input[str], description: str, **rule: Any) -> None:
        declared = f"{self._name}-{what}"
        made = aws.cloudwatch.EventRule(declared, name=name, description=description, opts=self._child, **rule)
        permission = self.may_be_called_by("events", made.arn, "" if what == "schedule" else f"-{what}")
        aws.cloudwatch.EventTarget(
            declared,
            rule=made.name,
            target_id=self._name,
            arn=self.function.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission]),
        )

    def may_be_called_by(self, service: str, source: pulumi.Input[str], of: str = "") -> aws.lambda_.Permission:
        """Declare that one resource of an AWS service may call the function.

        Args:
            service: The service, such as `s3`.
            source: The ARN of the resource.
            of: Tells it from others of the service that may.
        """
        return aws.lambda_.Permission(
            f"{self._name}-{service}{of}",
            statement_id=f"called-by-{service}{of}",
            action="lambda:InvokeFunction",
            function=self.function.name,
            principal=f"{service}.amazonaws.com",
            source_arn=source,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _policy(self, statements: pulumi.Input[list[policies.Statement]]) -> aws.iam.RolePolicy:
        """What its role may do."""
        handler, names = self._name, self._names
        return aws.iam.RolePolicy(
            handler,
            name=names.function(handler),
            role=self.role.name,
            policy=pulumi.Output.from_input(statements).apply(
                lambda items: policies.document(policies.function_logs(names, handler), *items)
            ),
            opts=self._child,
        )

    def _errors(self, does: str, alerts: pulumi.Input[str], severity: Severity) -> None:
        """The alarm on its own errors."""
        handler, name = self._name, self._names.function(self._name)
        aws.cloudwatch.MetricAlarm(
            f"{handler}-errors",
            name=self._names.alarm(handler, "errors"),
            **told(f"The function {name} failed. It is to {does[0].lower()}{does[1:]}", severity),
            namespace="AWS/Lambda",
            metric_name="Errors",
            dimensions={"FunctionName": name},
            statistic="Sum",
            period=60,
            evaluation_periods=1,
            datapoints_to_alarm=1,
            threshold=0,
            comparison_operator="GreaterThanThreshold",
            treat_missing_data="notBreaching",  # a count of errors: no call, no error
            alarm_actions=[alerts],
            opts=self._child,
        )


def _environment(names: Names) -> dict[str, pulumi.Input[str]]:
    return {
        "ENDPOINT_NAME": names.endpoint,
        "JOURNAL_TABLE": names.journal,
        "ALERTS_TOPIC": names.arn("sns", names.alerts),
        "ARTIFACT_BUCKET": names.bucket,
        "PACKAGE_GROUP": names.package_group,
        "MODELSTACK_STACK": names.stack,
    }


def _dead_letters(queue: pulumi.Input[str] | None) -> aws.lambda_.FunctionDeadLetterConfigArgs | None:
    return aws.lambda_.FunctionDeadLetterConfigArgs(target_arn=queue) if queue else None
