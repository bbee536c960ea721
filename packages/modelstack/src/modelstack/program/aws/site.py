"""The context that every component with a function needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pulumi

from modelstack.platforms.aws.names import Names
from modelstack.program.aws.lambda_zip import Bundle
from modelstack.program.aws.registry import Registry
from modelstack.program.aws.statements import Statement

Allowed = Callable[[Names, str], list[Statement]]


@dataclass(frozen=True)
class Site:
    """The context that every component with a function needs.

    Attributes:
        alerts: The ARN of the topic that alarms notify.
        log: The log group of all functions.
        schedules: The ARN of the role that schedules use.
        scheduled: The handlers of scheduled functions.
        journal: The journal's table, known once it exists: a function without it would fail, and fire an alarm in the
            next stack of the same name.
        born: When the stack was created, epoch seconds. CloudWatch retains metrics of an earlier stack of the same
            name, which alarms must ignore.
    """

    names: Names
    registry: Registry
    code: Bundle
    alerts: pulumi.Input[str]
    log: pulumi.Input[str]
    schedules: pulumi.Input[str]
    scheduled: tuple[str, ...]
    journal: pulumi.Input[str]
    documents: pulumi.Input[str]
    born: pulumi.Output[int]

    def allowed(self, statements: Allowed) -> pulumi.Output[list[Statement]]:
        """The statements for the stack's names and its encryption key."""
        return self.registry.key.arn.apply(lambda key: statements(self.names, key))
