"""The release that an update requests: its plan, and the approvals that it needs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pulumi

from modelstack.program import update_result
from modelstack.program.config.settings import Settings
from modelstack.program.live_state import LiveState
from modelstack.program.package import Package
from modelstack.program.plan.releases import DesiredRelease, ServingPlan, plan_serving
from modelstack.program.trial import Rollout
from modelstack.rollout.controller.commands import Commands
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.lost import LostJournal, refuse_lost
from modelstack.rollout.core.plan import Plan
from modelstack.rollout.core.state import RolloutState
from modelstack.services.declaration.alarm_names import answer_alarms


@dataclass(frozen=True)
class Awaited:
    """A release that still needs approvals."""

    release: str
    people: int
    agreed: int

    def as_dict(self) -> dict[str, str | int]:
        """The stack output that `modelstack approve` reads."""
        return {"release": self.release, "people": self.people}

    def tell(self) -> None:
        """Warn that the update waits for approvals, with the command to give one."""
        commands = Commands.of_stack(pulumi.get_stack())
        pulumi.warn(
            f"release {self.release} waits for people: {self.agreed} of {self.people} have agreed, so it is not on "
            f'trial, and what serves stays as it is. To agree: {commands.modelstack} approve --reason "..."; '
            f"then {commands.pulumi_up}"
        )


@dataclass(frozen=True)
class ReleaseRequest:
    """The release that an update requests; `waits` is None when no approvals are missing."""

    wanted: DesiredRelease
    plan: ServingPlan
    trial_plan: Plan
    waits: Awaited | None
    state: RolloutState

    def tell(self, now: LiveState, settings: Settings) -> None:
        """Report what the update found and does, before anything is declared."""
        update_result.tell_restored(now.state)
        update_result.tell_retrained(now.candidate, self.wanted, self.plan)
        update_result.tell(self.plan, now.state, self.trial_plan)
        serving = now.serving_of_wanted(settings)
        update_result.tell_instances(self.plan, now.state, now.shape(serving)[0], serving.capture_percent)

    async def may_serve(self, package: Package) -> bool:
        """Whether anything serves, or may. A package to be released is awaited first, and a refused one raises."""
        if self.plan.starts or self.waits:
            await update_result.stop_when_refused(package)
        if self.waits:
            self.waits.tell()
        return self.waits is None or self.state.champion is not None

    async def end(self, package: Package, rollout: Rollout, *, waits: bool) -> None:
        """Wait for the release's outcome, or else for its package, whose gates may have changed; raise on failure."""
        if self.plan.starts:
            await update_result.stop_unless_promoted(rollout, self.plan, waits)
        else:
            await update_result.stop_when_refused(package)

    def agreement(self) -> dict[str, Any]:
        """The output that `modelstack approve` reads; null when no approval is awaited."""
        return {"awaits": self.waits.as_dict() if self.waits else None}


async def asked(now: LiveState, settings: Settings) -> ReleaseRequest:
    """The release that the config requests in the current state."""
    wanted, trial = now.wanted(settings), settings.trial
    try:
        refuse_lost(now.state, now.live, wanted.variant)
    except LostJournal as error:
        raise pulumi.RunError(str(error)) from None
    waits = await _awaited(now, settings, wanted)
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


async def _awaited(now: LiveState, settings: Settings, wanted: DesiredRelease) -> Awaited | None:
    """None if the release needs no more approvals, already serves, is on trial, or was rejected."""
    state, people = now.state, settings.approval.people
    known = [release.id for release in (state.champion, state.challenger) if release is not None]
    if not people or wanted.id in known or wanted.id in state.rejected:
        return None
    try:
        agreed = await asyncio.to_thread(now.agreed, settings, wanted)
    except RolloutError as error:
        raise pulumi.RunError(
            f"who agreed to release {wanted.id} is not known, so nothing was changed: {error}"
        ) from None
    return None if agreed >= people else Awaited(wanted.id, people, agreed)


def _trial_plan(now: LiveState, settings: Settings, plan: ServingPlan) -> Plan:
    champion, guarded = now.state.champion, settings.trial.infrastructure if plan.moves else None
    guard = None
    if guarded and champion:
        count = now.serving_of_champion(settings).instance_count
        guard = guarded.guard(answer_alarms(now.names.prefix, champion.variant), count)
    monitoring = settings.monitoring
    instances = settings.serving.instance_count
    return settings.trial.plan(
        monitoring.period_seconds, guard, max_failed=monitoring.max_5xx_rate, instances=instances
    )
