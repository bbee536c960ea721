"""The function that probes the endpoint, so that silence is distinguished from health."""

from __future__ import annotations

import pulumi

from infra.aws import policies
from infra.aws.function import Function
from infra.aws.site import Site


def probe(site: Site, minutes: int, opts: pulumi.ResourceOptions) -> None:
    """Declare the function that probes the endpoint on a schedule."""
    function = Function(
        "probe",
        site,
        does="Ask the endpoint whether it answers.",
        may=site.allowed(policies.probe),
        timeout=60,
        opts=opts,
    )
    function.runs_every(minutes)
