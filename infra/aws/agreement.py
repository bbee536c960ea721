"""Have enough people agreed to the release that the config asks for?"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pulumi

from infra.aws.stack_now import StackNow
from infra.config.settings import Settings
from infra.plan.releases import Wanted
from rollout.controller.commands import Commands


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


async def awaited(settings: Settings, stack_now: StackNow, wanted: Wanted) -> Awaited | None:
    """Look whether the release may go on trial; None when it may, or already serves, is on trial or was rejected.

    Raises:
        pulumi.RunError: It is not known who has agreed.
    """
    people, state = settings.approval.people, stack_now.state
    known = [release.id for release in (state.champion, state.challenger) if release is not None]
    if not people or wanted.id in known or wanted.id in state.rejected:
        return None
    agreed = await asyncio.to_thread(_agreed, stack_now, wanted.id)
    return None if agreed >= people else Awaited(wanted.id, people, agreed)


def _agreed(stack_now: StackNow, release: str) -> int:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  most stacks ask nobody

    from platforms.aws.approvals import count  # noqa: PLC0415
    from platforms.aws.clients import clients, code_of  # noqa: PLC0415

    names = stack_now.names
    try:
        return count(clients(names.region)("s3"), names.bucket, release)
    except (BotoCoreError, ClientError) as error:
        if code_of(error) == "NoSuchBucket":  # before the stack's first update
            return 0
        raise pulumi.RunError(
            f"who agreed to release {release} is not known, so nothing was changed: {error}"
        ) from None
