"""The stack that this one takes its releases from: what serves there now, and how its account is reached."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pulumi

from rollout.core.errors import RolloutError
from rollout.core.state import StateError

_NEEDED = ("endpoint_name", "journal_table", "region")


async def champion_of(source: str, account: str) -> dict[str, Any]:
    """The release that serves on another stack of this project, by its journal, with `region`, `role` and `signed_by`.

    The stack's outputs tell only where the journal is: they are as old as its last update, and a trial may have ended
    since. `role` is what to assume to read there, null where the stack is of the same account. `signed_by` is the
    public key of the stack, PEM, with which it signs all that it registers.

    Args:
        source: The other stack.
        account: The account of this one.

    Raises:
        pulumi.RunError: The stack has no champion or has signed nothing, or what serves there cannot be read.
    """
    reference = pulumi.StackReference(f"{pulumi.get_organization()}/{pulumi.get_project()}/{source}")
    asked = (*_NEEDED, "promotion_role", "signing_key", "alerts_topic")
    details = await asyncio.gather(*(reference.get_output_details(name) for name in asked))
    *needed, role, signed_by, topic = (one.value for one in details)
    outputs = dict(zip(_NEEDED, needed, strict=True))
    _check_named(source, topic, role, account)
    release = await asyncio.to_thread(_serving, source, outputs, role, account) if all(needed) else None
    if release is None:
        raise pulumi.RunError(
            f"modelstack:promotion.from = {source!r}: this stack has no champion to take. Run `pulumi up` on it first"
        )
    if not signed_by:
        raise pulumi.RunError(
            f"modelstack:promotion.from = {source!r}: this stack has signed none of its packages (it has no output "
            "`signing_key`), and only a signed one is taken. Run `pulumi up` on it first, which signs what it serves"
        )
    return {**release, "signed_by": signed_by}


def _check_named(source: str, topic: str | None, role: str | None, account: str) -> None:
    """Refuse to go on when the source is of another account, and lets no other account take its champion."""
    there = topic.split(":")[4] if topic else account
    if there != account and not role:
        raise pulumi.RunError(
            f"modelstack:promotion.from = {source!r}: this stack is in account {there}, and its "
            "modelstack:promotion.to names no other account, so nothing was changed. Let it name "
            f"{account}, and run `pulumi up` on it"
        )


def _serving(source: str, outputs: Mapping[str, Any], role: str | None, account: str) -> dict[str, Any] | None:
    from platforms.aws.elsewhere import champion, role_for  # noqa: PLC0415  slow to load, and most stacks train

    region, needed = outputs["region"], role_for(role, account)
    try:
        found = champion(region, outputs["journal_table"], outputs["endpoint_name"], needed)
    except (RolloutError, StateError) as error:
        raise pulumi.RunError(
            f"modelstack:promotion.from = {source!r}: what serves there is not known, so nothing was changed: {error}"
            + (f". Does modelstack:promotion.to of {source} name account {account}?" if needed else "")
        ) from None
    return {**found.as_dict(), "region": region, "role": needed} if found else None
