"""Approvals that a release needs before its trial."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pulumi

from infra.plan.releases import DesiredRelease
from rollout.controller.commands import Commands
from rollout.core.errors import RolloutError
from rollout.core.state import RolloutState


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


async def awaited(
    people: int, state: RolloutState, wanted: DesiredRelease, agreed: Callable[[], int]
) -> Awaited | None:
    """The approvals that a release still needs; None if it needs none, already serves, is on trial, or was rejected.

    `agreed` counts the approvals and runs in a thread. If they cannot be read, it raises pulumi.RunError.
    """
    known = [release.id for release in (state.champion, state.challenger) if release is not None]
    if not people or wanted.id in known or wanted.id in state.rejected:
        return None
    try:
        there = await asyncio.to_thread(agreed)
    except RolloutError as error:
        raise pulumi.RunError(
            f"who agreed to release {wanted.id} is not known, so nothing was changed: {error}"
        ) from None
    return None if there >= people else Awaited(wanted.id, people, there)
