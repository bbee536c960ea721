"""Have enough people agreed to the release that the config asks for?"""

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
    """A release that people have yet to agree to.

    Attributes:
        release: Its id.
        people: How many must agree.
        agreed: How many have.
    """

    release: str
    people: int
    agreed: int

    def as_dict(self) -> dict[str, str | int]:
        """What `modelstack approve` reads of the stack's outputs."""
        return {"release": self.release, "people": self.people}

    def tell(self) -> None:
        """Say what the update waits for, and what to type."""
        commands = Commands.of_stack(pulumi.get_stack())
        pulumi.warn(
            f"release {self.release} waits for people: {self.agreed} of {self.people} have agreed, so it is not on "
            f'trial, and what serves stays as it is. To agree: {commands.modelstack} approve --reason "..."; '
            f"then {commands.pulumi_up}"
        )


async def awaited(
    people: int, state: RolloutState, wanted: DesiredRelease, agreed: Callable[[], int]
) -> Awaited | None:
    """Look whether the release may go on trial; None when it may, or already serves, is on trial or was rejected.

    Args:
        people: How many must agree.
        state: The journal.
        wanted: The release that the config asks for.
        agreed: Counts how many have, in another thread.

    Raises:
        pulumi.RunError: It is not known who has agreed.
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
