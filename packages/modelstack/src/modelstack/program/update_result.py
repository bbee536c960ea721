"""Messages about an update's release, and the conditions that fail the update."""

from __future__ import annotations

import pulumi

from modelstack.monitoring.retraining.record import Candidate
from modelstack.program.package import Package
from modelstack.program.plan.releases import DesiredRelease, ServingPlan
from modelstack.program.providers.driving import awaited
from modelstack.program.trial import Rollout
from modelstack.records.audit.record import moment
from modelstack.rollout.controller.commands import Commands
from modelstack.rollout.core.plan import Plan
from modelstack.rollout.core.state import Phase, RolloutState

# Field of the plan -> field of the config.
FIELDS = {
    "steps": "rollout.strategy",
    "metrics": "rollout.judge.metrics",
    "min_requests": "rollout.judge.min_requests",
    "alpha": "rollout.judge.alpha",
    "promote_when": "rollout.judge.promote_when",
    "max_seconds": "rollout.max_minutes",
    "on_timeout": "rollout.on_timeout",
    "watch_seconds": "rollout.watch_minutes",
    "metrics_timeout_seconds": "rollout.metrics_timeout_minutes",
    "replay": "rollout.replay",
    "window_seconds": "monitoring.period_seconds",
    "warm_up_requests": "serving.instance_count",
    "max_failed": "monitoring.max_5xx_rate",
}


def tell(plan: ServingPlan, state: RolloutState, trial_plan: Plan) -> None:
    """Explain why the desired release is not on trial, what a trial waits for, or how the last trial ended."""
    refused, last, moved = plan.verdict, state.verdict, state.moved
    commands = Commands.of_stack(pulumi.get_stack())
    _tell_other_plan(plan, state, trial_plan, commands)
    if refused is not None:
        pulumi.warn(
            f"release {refused.release} was {_plain(refused.outcome)} and is not tried again: {refused.reason.text}. "
            "The champion keeps all traffic. Change its recipe or image, or clear the rejection: "
            f"{commands.modelstack} clear {refused.release}"
        )
    elif state.phase in {Phase.PAUSED, Phase.HELD} and state.challenger is not None:
        pulumi.info(f"release {state.challenger.id} is on trial and waits: {awaited(state, commands)}")
    elif last is not None and last.outcome != "promoted":
        skip = f'. To let it: {commands.modelstack} skip-trial {last.release} --reason "..."'
        then = skip if last.outcome == "failed" and state.champion is not None else ""
        pulumi.info(f"last verdict: release {last.release} {_plain(last.outcome)}: {last.reason.text}{then}")
    if moved is not None and moved is state.last and moved.outcome != "promoted":
        pulumi.info(f"the champion, {moved.release}, did not move to other instances: {moved.reason.text}")


def _tell_other_plan(plan: ServingPlan, state: RolloutState, trial_plan: Plan, commands: Commands) -> None:
    """Warn that a changed plan does not apply to the running trial."""
    present, challenger = state.plan, state.challenger
    if not state.on_trial or present is None or challenger is None or challenger.config_name != plan.target:
        return
    changed = [field for name, field in FIELDS.items() if getattr(present, name) != getattr(trial_plan, name)]
    if changed:
        again = f'{commands.modelstack} rollback --reason "...", {commands.modelstack} clear {challenger.id}'
        pulumi.warn(
            f"the trial of {challenger.id} keeps the plan that it began with: the change of {', '.join(changed)} "
            f"counts from the next release. To begin this one again with it: {again}, {commands.pulumi_up}"
        )


def tell_restored(state: RolloutState) -> None:
    """Warn that a restored release replaces the one in the config, with the command to undo that."""
    restored = state.restored
    if restored is None:
        return
    commands = Commands.of_stack(pulumi.get_stack())
    pulumi.warn(
        f"release {restored.release} is restored, in place of what checkout and config ask for: {restored.reason.text} "
        f"(on {moment(restored.at)}; it served from {moment(restored.served)}). To let these count again: "
        f"{commands.lift}; then {commands.pulumi_up}"
    )


def tell_retrained(candidate: Candidate | None, wanted: DesiredRelease, plan: ServingPlan) -> None:
    """Report that the release uses a retraining's data window; silent when nothing is released."""
    if candidate is None or not plan.starts or plan.kept is not None:
        return
    made = "was retrained" if wanted.recipe == candidate.recipe else "is trained"
    pulumi.info(f"release {wanted.id} {made} on data to {candidate.through}: {candidate.why}")


def tell_instances(plan: ServingPlan, state: RolloutState, instances: str, captured: int) -> None:
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


async def stop_when_refused(package: Package) -> None:
    """Wait for the package; a refused one raises pulumi.RunError with the reason and the numbers."""
    refused = await package.refused.future()
    if refused:
        raise pulumi.RunError(refused)


async def stop_unless_promoted(rollout: Rollout, plan: ServingPlan, waits: bool) -> None:
    """Wait for the rollout of this update; an awaited approval is no failure.

    Raises:
        pulumi.RunError: The release was not promoted, or the champion not moved; with the cause and its numbers.
    """
    outcome = await rollout.outcome.future()
    if outcome is None or outcome == "promoted" or (outcome in {"running", "held"} and not waits):
        return
    why = await rollout.why.future()
    if outcome == "waiting":
        pulumi.info(f"the release is on trial and waits: {why}")
        return
    commands = Commands.of_stack(pulumi.get_stack())
    what = "the champion did not move to other instances, and serves" if plan.moves else "the release was not promoted"
    raise pulumi.RunError(
        f"{what}: {_plain(outcome)}: {why}. `{commands.modelstack} explain` shows the numbers, and what to do next"
    )


def _plain(outcome: str) -> str:
    return outcome.replace("_", " ")
