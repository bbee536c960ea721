"""Messages of an update about a change of instances."""

from __future__ import annotations

import pulumi

from infra.plan.releases import ServingPlan
from rollout.controller.commands import Commands
from rollout.core.state import RolloutState


def tell(plan: ServingPlan, state: RolloutState, instances: str, captured: int) -> None:
    """Report that a champion moves, that a trial restarts for the change, or that it compares unequal instances."""
    champion = state.champion
    if champion is None or not plan.starts:
        return
    target = next(item.variant for item in plan.releases if item.config_name == plan.target)
    on_trial = state.challenger if state.on_trial else None
    there = f"{instances}, {captured}% of requests captured"
    if plan.moves:
        ends = f"; the trial of {on_trial.id} ends first" if on_trial else ""
        pulumi.info(f"the champion, {champion.id}, moves to other instances ({there}) without a trial{ends}")
    if on_trial is not None and on_trial.variant == target and on_trial.config_name != plan.target:
        pulumi.warn(
            f"the trial of {on_trial.id} ends, and begins again at its first step with the challenger on other "
            f"instances ({there}): what it has shown so far no longer counts. To go on with it, set modelstack:serving "
            "back, and change it after the verdict"
        )
    if plan.pair is not None and champion.instances != instances:
        advice = (
            "To compare like with like, set modelstack:serving back; or move the champion first: its code and "
            f"parameters with these instances, then `{Commands.of_stack(pulumi.get_stack()).pulumi_up}`"
        )
        if state.restored is not None and state.restored.serving:
            advice = "They are those that it was served with then"
        pulumi.warn(
            f"the trial compares unequal instances: the challenger has {instances}, the champion, "
            f"{champion.id}, keeps others, so a slower model may pass, or an equal one be rolled back, for its "
            f"instances. {advice}"
        )
