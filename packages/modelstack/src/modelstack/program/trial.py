"""The resource of a release's rollout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi.dynamic import Resource

from modelstack.program.live_state import LiveState
from modelstack.program.options import Opts, urn_of
from modelstack.program.package import Package
from modelstack.program.plan.releases import ServingPlan
from modelstack.program.providers.driving import DrivingProvider
from modelstack.rollout.core.lost import unknown_variants
from modelstack.rollout.core.plan import Plan

TYPE = "pulumi-python:dynamic/modelstack:Rollout"


class Rollout(Resource, module="modelstack", name="Rollout"):
    """The rollout of the desired release.

    Creates:
        Nothing. It hands the release to the rollout controller and, with `wait`, follows the trial to its verdict.
        A verdict against the release is an outcome and no error of this resource, so that the stack's outputs stay
        correct; the program fails afterwards.
    """

    champion: pulumi.Output[str]
    challenger: pulumi.Output[str]
    release: pulumi.Output[dict[str, Any]]
    metrics: pulumi.Output[dict[str, float]]
    outcome: pulumi.Output[str]
    why: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        provider: DrivingProvider,
        now: LiveState,
        package: Package,
        plan: ServingPlan,
        *,
        trial_plan: Plan,
        place: Mapping[str, str],
        wait: bool,
        after: Sequence[pulumi.Resource],
        opts: Opts = None,
    ) -> None:
        champion, challenger = now.state.champion, now.state.challenger
        under_way = challenger is not None and challenger.config_name == plan.target
        props: dict[str, object] = {
            "endpoint": now.names.prefix,
            **place,
            "desired_release": plan.kept.as_dict() if plan.kept else package.release(),
            "trial_config": plan.pair,
            "shadow_config": plan.shadow,
            "baseline_config": champion.config_name if champion and plan.pair else None,
            "plan": trial_plan.as_dict(),
            "wait": wait,
            "start_trial": plan.starts and (wait or not under_way),
            "live_state": {
                "champion": champion.package_digest if champion else "",
                "challenger": challenger.package_digest if challenger else "",
                "revision": now.state.revision,
                **({"gone": True} if now.gone or unknown_variants(now.state, now.live) else {}),
            },
            "urn": urn_of(name, TYPE, opts),
            **dict.fromkeys(("champion", "challenger", "release", "metrics", "outcome", "why")),
        }
        own = pulumi.ResourceOptions(provider=now.provider, depends_on=after)
        super().__init__(provider, name, props, pulumi.ResourceOptions.merge(own, opts))
