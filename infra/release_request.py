"""What an update is asked to do: which release, how that earns its traffic, and whether people must agree first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from infra import update_result
from infra.agreement import Awaited, awaited
from infra.config.settings import Settings
from infra.live_state import LiveState
from infra.package import Package
from infra.plan import instances
from infra.plan.releases import DesiredRelease, ServingPlan, plan_serving
from infra.plan.restored import serving_of_champion, serving_of_wanted
from infra.trial import Rollout
from rollout.core.plan import Plan
from rollout.core.state import RolloutState


@dataclass(frozen=True)
class ReleaseRequest:
    """What an update is asked to do.

    Attributes:
        wanted: The release that the config asks for.
        plan: What is declared for serving.
        trial_plan: How the release earns its traffic.
        waits: That people must agree to the release first; None when they need not, or have.
        state: The journal at the program's start.
    """

    wanted: DesiredRelease
    plan: ServingPlan
    trial_plan: Plan
    waits: Awaited | None
    state: RolloutState

    def tell(self, now: LiveState, settings: Settings) -> None:
        """Say what the update finds and does, before anything is declared."""
        update_result.tell_restored(now.state)
        update_result.tell_retrained(now.candidate, self.wanted, self.plan)
        update_result.tell(self.plan, now.state, self.trial_plan)
        serving = serving_of_wanted(now.state, settings)
        instances.tell(self.plan, now.state, now.shape(serving)[0], serving.capture_percent)

    async def may_serve(self, package: Package) -> bool:
        """Wait for the package where something is released; whether anything serves, or may.

        Raises:
            pulumi.RunError: The package was refused; what serves has not changed.
        """
        if self.plan.starts or self.waits:
            await update_result.stop_when_refused(package)
        if self.waits:
            self.waits.tell()
        return self.waits is None or self.state.champion is not None

    async def end(self, package: Package, rollout: Rollout, *, waits: bool) -> None:
        """Wait for what comes of the release, or at least of its package, whose gates may have changed.

        Args:
            package: The package of the release.
            rollout: Its way to the traffic.
            waits: Whether the update waits for the verdict.

        Raises:
            pulumi.RunError: The release was refused, or is not champion; the message says why.
        """
        if self.plan.starts:
            await update_result.stop_unless_promoted(rollout, self.plan, waits)
        else:
            await update_result.stop_when_refused(package)

    def agreement(self) -> dict[str, Any]:
        """The output that `modelstack approve` reads; of nothing that waits for people it is null."""
        return {"awaits": self.waits.as_dict() if self.waits else None}


async def asked(now: LiveState, settings: Settings) -> ReleaseRequest:
    """What the config asks for, as the stack is now.

    Args:
        now: The stack.
        settings: Its config.

    Raises:
        pulumi.RunError: The model has no recipe, or it is not known who has agreed.
    """
    wanted, trial = now.wanted(settings), settings.trial
    agreed = partial(now.agreed, settings, wanted)
    waits = await awaited(settings.approval.people, now.state, wanted, agreed)
    plan = plan_serving(
        now.state,
        wanted,
        now.names.pair_of,
        resized=now.resized(settings),
        waits=trial.wait,
        asks=trial.asks,
        copied=trial.copied,
        unapproved=waits is not None,
    )
    return ReleaseRequest(wanted, plan, _trial_plan(now, settings, plan), waits, now.state)


def _trial_plan(now: LiveState, settings: Settings, plan: ServingPlan) -> Plan:
    """How the config has a release earn its traffic, when the program declares so much for serving."""
    champion, guarded = now.state.champion, settings.trial.infrastructure if plan.moves else None
    guard = None
    if guarded and champion:
        count = serving_of_champion(now.state, settings).instance_count
        guard = guarded.guard(now.answer_alarms(champion.variant), count)
    monitoring = settings.monitoring
    return settings.trial.plan(monitoring.period_seconds, guard, max_failed=monitoring.max_5xx_rate)
