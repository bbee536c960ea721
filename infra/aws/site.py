"""What every component that runs a function needs: the names, the registry, the code, and whom alarms tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pulumi

from infra.aws.lambda_zip import Bundle
from infra.aws.registry import Registry
from infra.aws.statements import Statement
from platforms.aws.names import Names

Allowed = Callable[[Names, str], list[Statement]]


@dataclass(frozen=True)
class Site:
    """What every component that runs a function needs.

    Attributes:
        names: The stack's names.
        registry: Where packages, captures and labels lie.
        code: The sealed archive of the handlers.
        alerts: The ARN of the topic that alarms tell.
        log: The log group of all functions.
        schedules: The ARN of the role that schedules call functions with.
        scheduled: The handlers of the functions that run by a schedule: all but that of the rollback.
        journal: The name of the journal's table, known when it is there: a function without it fails, and an alarm
            would ring for the stack that comes after this one under the same name.
        documents: The name of the table of documents, known when it exists.
        born: When the stack was made, epoch seconds. CloudWatch keeps what it measured of a stack that had the name
            before, and deletes nothing: alarms are to count what came later.
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
        """What a role may do, given the names and the ARN of the key that the registry encrypts with."""
        return self.registry.key.arn.apply(lambda key: statements(self.names, key))
