"""The functions that move traffic when no update waits: forward step by step, and back when an alarm fires."""

from __future__ import annotations

import json
from datetime import datetime

import pulumi
import pulumi_aws as aws

from modelstack.platforms.aws.functions import SCHEDULED
from modelstack.platforms.aws.names import Names
from modelstack.program.aws import policies
from modelstack.program.aws.alarms import rollback_alarm
from modelstack.program.aws.function import Function, FunctionRole, dead_letters
from modelstack.program.aws.journal import documents_table, journal_table
from modelstack.program.aws.lambda_zip import Bundle
from modelstack.program.aws.managed_mlflow import ToldMlflow
from modelstack.program.aws.registry import Registry
from modelstack.program.aws.site import Site
from modelstack.program.options import Opts

# 20 s of following, 60 s of a replay, and the two requests under way at its end with all their attempts of 15 s.
_ADVANCE_SECONDS = 240
_WATCH_SECONDS = 90  # 20 of a probe, 60 until a missing function is looked for again
_ACT_SECONDS = 60  # for the rollback, before the function continues as the advance function does


class Controller(pulumi.ComponentResource):
    """The functions that move traffic when no update waits: forward step by step, and back when an alarm fires.

    Creates:
        The rollout journal; the key of the audit record; the alerts topic; the rollback function that subscribes to it,
        with a dead-letter queue and an alarm; the advance function, once a minute; the role of both; the log group of
        all functions, and the role of schedules.
    """

    def __init__(
        self,
        name: str,
        names: Names,
        *,
        registry: Registry,
        code: Bundle,
        scheduled: tuple[str, ...],
        log_days: int,
        probe_minutes: int | None,
        told: ToldMlflow | None = None,
        opts: Opts = None,
    ) -> None:
        super().__init__("modelstack:index:Rollback", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        retained = pulumi.ResourceOptions.merge(child, registry.retained)
        self.journal = journal_table(names, retained)
        self.alerts = aws.sns.Topic("alerts", name=names.alerts, policy=policies.alerts(names), opts=child)
        log = aws.cloudwatch.LogGroup("functions", name=names.log, retention_in_days=log_days, opts=child)
        schedules, born = self._schedules(names, scheduled, child)
        self.site = Site(
            names,
            registry,
            code,
            alerts=self.alerts.arn,
            log=log.name,
            schedules=schedules,
            scheduled=scheduled,
            journal=self.journal.name,
            documents=documents_table(names, child).name,
            born=born,
        )
        self.dead_letters = dead_letters("dead-letters", names.dead_letters, child, policies.dead_letters(names))
        self.audit_key = _audit_key(names, retained)
        may = pulumi.Output.all(registry.key.arn, self.audit_key.arn, told.server if told else "").apply(
            lambda of: [*policies.controller(names, *of[:2]), *(told.statements(names, of[2]) if told else ())]
        )
        controller = FunctionRole("controller", self.site, may, child)
        self.rollback = self._function(controller, child)
        self._advance(controller, told, probe_minutes, child)
        rollback_alarm(self.site, child)
        self.register_outputs({"alerts": self.alerts.arn, "function": self.rollback.function.name})

    def _function(self, controller: FunctionRole, child: pulumi.ResourceOptions) -> Function:
        function = Function(
            "rollback",
            self.site,
            does="Acts on alarms: takes a challenger back, or a new champion within its watch time; leaves a shared "
            "outage to the judge.",
            may=controller,
            timeout=_ACT_SECONDS + _ADVANCE_SECONDS,
            dead_letters=self.dead_letters.arn,
            opts=child,
        )
        permission = function.may_be_called_by("sns", self.alerts.arn)
        aws.sns.TopicSubscription(
            "rollback",
            topic=self.alerts.arn,
            protocol="lambda",
            endpoint=function.function.arn,
            redrive_policy=self.dead_letters.arn.apply(lambda arn: json.dumps({"deadLetterTargetArn": arn})),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission]),
        )
        return function

    def _advance(
        self, controller: FunctionRole, told: ToldMlflow | None, probe: int | None, child: pulumi.ResourceOptions
    ) -> None:
        function = Function(
            "advance",
            self.site,
            does="Does what is due for the rollout, for up to 20 s, writes its lineage and audit record, probes the "
            "endpoint, and checks that the other functions run.",
            may=controller,
            timeout=_ADVANCE_SECONDS + _WATCH_SECONDS,
            environment={
                "AUDIT_KEY": self.audit_key.arn,
                "PROBE_MINUTES": str(probe or 0),
                SCHEDULED: ",".join(self.site.scheduled),
                **(told.environment() if told else {}),
            },
            opts=child,
        )
        function.runs_every(1)

    def _schedules(
        self, names: Names, scheduled: tuple[str, ...], child: pulumi.ResourceOptions
    ) -> tuple[pulumi.Output[str], pulumi.Output[int]]:
        """The ARN of the schedules' role, known once it may call the functions; and its creation time."""
        role = aws.iam.Role(
            "schedules", name=names.schedules_role, assume_role_policy=policies.schedules_trust(names), opts=child
        )
        policy = aws.iam.RolePolicy(
            "schedules",
            name=names.schedules_role,
            role=role.name,
            policy=policies.schedules(names, scheduled),
            opts=child,
        )
        born = role.create_date.apply(lambda date: int(datetime.fromisoformat(date).timestamp()))
        return pulumi.Output.all(role.arn, policy.id).apply(lambda made: made[0]), born


def _audit_key(names: Names, opts: pulumi.ResourceOptions) -> aws.kms.Key:
    """Only the controller's role may sign: a principal that releases must not be able to write the record of it.

    AWS does not rotate asymmetric keys. A deleted stack leaves 30 days to fetch the public key for its exports.
    """
    return aws.kms.Key(
        "audit",
        description=f"Signs the audit record of {names.prefix}",
        key_usage="SIGN_VERIFY",
        customer_master_key_spec="ECC_NIST_P256",
        policy=policies.audit_key(names),
        deletion_window_in_days=30,
        opts=opts,
    )
