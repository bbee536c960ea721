"""What carries a rollout on when nobody waits for it."""

from __future__ import annotations

import pulumi

from infra import policies
from infra.function import Function
from infra.lambda_zip import Bundle
from infra.naming import Names
from infra.registry import Registry
from infra.rollback import Rollback

# 20 s of following, 60 s of a replay, and the two requests under way at its end with all their attempts of 15 s.
SECONDS = 240


class Advance(pulumi.ComponentResource):
    """What carries a rollout on when nobody waits for it.

    Creates:
        The advance function, once a minute.
    """

    def __init__(
        self,
        name: str,
        names: Names,
        *,
        registry: Registry,
        rollback: Rollback,
        code: Bundle,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the function and its schedule.

        Args:
            name: The logical name.
            names: The stack's names.
            registry: Where captured requests lie, which the function replays.
            rollback: Its topic is told of what happens.
            code: The sealed archive of the handlers.
            opts: Options of the component.
        """
        super().__init__("modelstack:index:Advance", name, None, opts)
        self.function = Function(
            "advance",
            names,
            code=code,
            does="Carry the rollout on by one step of its plan.",
            statements=registry.key.arn.apply(lambda key: [*policies.controller(names), *policies.replay(names, key)]),
            alerts=rollback.alerts.arn,
            timeout=SECONDS,
            # Stacks that were made before know it as a part of the rollback.
            opts=pulumi.ResourceOptions(parent=self, aliases=[pulumi.Alias(parent=rollback)]),
        )
        self.function.runs_every(1)
        self.register_outputs({"function": self.function.function.name})
