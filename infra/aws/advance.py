"""The function that carries a rollout on when no update waits for it."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from infra.aws.function import Function, FunctionRole
from infra.aws.site import Site

# 20 s of following, 60 s of a replay, and the two requests under way at its end with all their attempts of 15 s.
SECONDS = 240


def advance(
    site: Site,
    role: FunctionRole,
    audit_key: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
    told: Mapping[str, pulumi.Input[str]],
) -> None:
    """Declare the advance function, and that it runs once a minute.

    Args:
        site: What all functions of the stack have.
        role: The controller's.
        audit_key: The ARN of the key that signs the audit record.
        opts: Options of each resource.
        told: The variables of whom it tells, besides people; empty of nobody.
    """
    function = Function(
        "advance",
        site,
        does="Does what is due for the rollout, for up to 20 s, writes its lineage, and puts the audit record away.",
        may=role,
        timeout=SECONDS,
        environment={"AUDIT_KEY": audit_key, **told},
        opts=opts,
    )
    function.runs_every(1)
