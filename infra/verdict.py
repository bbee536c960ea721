"""What an update says of its release, and when it fails for it."""

from __future__ import annotations

import pulumi

from infra.package import Package
from infra.providers.rollout import awaited
from infra.releases import ServingPlan
from infra.rollout import Rollout
from rollout.commands import Commands
from rollout.state import Phase, RolloutState


def tell(plan: ServingPlan, state: RolloutState) -> None:
    """Say why the release that the config asks for is not put on trial, what one waits for, or how the last ended."""
    refused, last = plan.verdict, state.verdict
    commands = Commands.of_stack(pulumi.get_stack())
    if refused is not None:
        pulumi.warn(
            f"release {refused.release} was {_plain(refused.outcome)} and is not tried again: {refused.reason.text}. "
            "The champion keeps all traffic. Change its recipe or image, or clear the rejection: "
            f"{commands.modelstack} clear {refused.release}"
        )
    elif state.phase is Phase.PAUSED and state.challenger is not None:
        pulumi.info(f"release {state.challenger.id} is on trial and waits: {awaited(state, commands)}")
    elif last is not None and last.outcome != "promoted":
        skip = f'. To let it: {commands.modelstack} skip-trial {last.release} --reason "..."'
        then = skip if last.outcome == "failed" and state.champion is not None else ""
        pulumi.info(f"last verdict: release {last.release} {_plain(last.outcome)}: {last.reason.text}{then}")


async def stop_when_refused(package: Package) -> None:
    """Wait for the package.

    Raises:
        pulumi.RunError: The package was refused; the message has the reason and the numbers.
    """
    refused = await package.refused.future()
    if refused:
        raise pulumi.RunError(refused)


async def stop_unless_promoted(rollout: Rollout, waits: bool) -> None:
    """Wait for the rollout of a release that this update began; one that waits for an approval is no failure.

    Raises:
        pulumi.RunError: The release is not champion; the message names the alarm or metric, and the numbers.
    """
    outcome = await rollout.outcome.future()
    if outcome is None or outcome == "promoted" or (outcome == "running" and not waits):
        return
    why = await rollout.why.future()
    if outcome == "waiting":
        pulumi.info(f"the release is on trial and waits: {why}")
        return
    commands = Commands.of_stack(pulumi.get_stack())
    raise pulumi.RunError(
        f"the release was not promoted: {_plain(outcome)}: {why}. `{commands.modelstack} explain` shows the numbers, "
        "and what to do next"
    )


def _plain(outcome: str) -> str:
    return outcome.replace("_", " ")
