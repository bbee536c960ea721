"""The function that continues a rollout when no update waits for it."""

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
    """Declare the advance function, which runs once a minute. `told` holds the variables of MLflow; empty without."""
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
