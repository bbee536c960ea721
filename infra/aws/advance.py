"""The function that carries a rollout on when no update waits for it."""

from __future__ import annotations

import pulumi

from infra.aws import policies
from infra.aws.function import Function
from infra.aws.rollback import Rollback
from infra.aws.site import Site

# 20 s of following, 60 s of a replay, and the two requests under way at its end with all their attempts of 15 s.
SECONDS = 240


class Advance(pulumi.ComponentResource):
    """The function that carries a rollout on when no update waits for it.

    Creates:
        The advance function, once a minute.
    """

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        rollback: Rollback,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the function and its schedule.

        Args:
            name: The logical name.
            site: What all functions of the stack have; the registry has the captured requests that it replays.
            rollback: What it was a part of once.
            opts: Options of the component.
        """
        super().__init__("modelstack:index:Advance", name, None, opts)
        self.function = Function(
            "advance",
            site,
            does="Carry the rollout on by one step of its plan.",
            statements=site.allowed(lambda names, key: [*policies.controller(names), *policies.replay(names, key)]),
            timeout=SECONDS,
            # Stacks that were made before know it as a part of the rollback.
            opts=pulumi.ResourceOptions(parent=self, aliases=[pulumi.Alias(parent=rollback)]),
        )
        self.function.runs_every(1)
        self.register_outputs({"function": self.function.function.name})
